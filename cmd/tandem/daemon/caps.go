package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var errCaps = errors.New("no CAP_NET_ADMIN and CAP_NET_RAW: this node could not hold the VIP; start it with tandem.service, or as root")

// needCaps refuses a process that could not put a VIP on its link (CAP_NET_ADMIN) or announce it (CAP_NET_RAW): it would look fit, and never take over.
func needCaps() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
	}
	return enough(data[0].Effective)
}

// enough judges effective capabilities, as bits.
func enough(effective uint32) error {
	const want = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	if effective&want != want {
		return errCaps
	}
	return nil
}
