package daemon

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNodeThatCouldNotHoldTheVIPIsRefused(t *testing.T) {
	const admin, raw = 1 << unix.CAP_NET_ADMIN, 1 << unix.CAP_NET_RAW
	for _, tt := range []struct {
		name      string
		effective uint32
		want      error
	}{
		{"none", 0, errCaps},
		{"all but both", ^uint32(admin | raw), errCaps},
		{"no NET_RAW", admin, errCaps},
		{"no NET_ADMIN", raw, errCaps},
		{"both", admin | raw, nil},
		{"root", ^uint32(0), nil},
	} {
		if err := enough(tt.effective); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
