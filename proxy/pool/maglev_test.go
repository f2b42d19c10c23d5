package pool

import (
	"fmt"
	"testing"
)

// TestBackendTooLightForASlotIsNotSoughtForEver: beside many that are far heavier, one may have no slot in the table.
func TestBackendTooLightForASlotIsNotSoughtForEver(t *testing.T) {
	light := &Backend{name: "light", weight: 1, hash: hashName(1, "light")}
	bs := []*Backend{light}
	for i := range 300 {
		name := fmt.Sprint("web", i)
		bs = append(bs, &Backend{name: name, weight: 256, hash: hashName(1, name)})
	}
	if b := newTable(bs).pick(7, func(b *Backend) bool { return b == light }); b != nil {
		t.Errorf("picked %s, which should have no slot: the test wants more weight", b.name)
	}
}
