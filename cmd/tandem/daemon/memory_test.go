package daemon

import (
	"runtime/debug"
	"testing"
)

func TestNodeCollectsRarelyUnlessToldOtherwise(t *testing.T) {
	for _, c := range []struct {
		env  string
		want int
	}{{"", growth}, {"50", 100}} {
		t.Setenv("GOGC", c.env)
		before := debug.SetGCPercent(100)
		collectRarely()
		if got := debug.SetGCPercent(before); got != c.want {
			t.Errorf("GOGC=%q: %d %%, want %d", c.env, got, c.want)
		}
	}
}
