package lab

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// link says whether a host's link is up, and whether it has a carrier.
func link(t *testing.T, h *Host) (up, carrier bool) {
	t.Helper()
	err := h.withLink(func(link netlink.Link) error {
		flags := link.Attrs().RawFlags
		up, carrier = flags&unix.IFF_UP != 0, flags&unix.IFF_LOWER_UP != 0
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return up, carrier
}

// state is the letter that /proc gives for a process.
func state(t *testing.T, pid int) string {
	t.Helper()
	fields := stat(pid)
	if len(fields) == 0 {
		t.Fatalf("process %d is gone", pid)
	}
	return fields[0]
}

// namespaces are the network namespaces that this process keeps alive, by threads or descriptors.
func namespaces(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range []string{"/proc/self/task", "/proc/self/fd"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if dir == "/proc/self/task" {
				path += "/ns/net"
			}
			if to, err := os.Readlink(path); err == nil && len(to) > 4 && to[:4] == "net:" {
				found[to] = true
			}
		}
	}
	return found
}

func itoa(n int) string { return strconv.Itoa(n) }

func sscan(s string, pid *int) (int, error) { return fmt.Sscanf(s, "pid %d", pid) }

// rawSocket is a packet socket bound to a link of the process's own namespace.
func rawSocket(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "raw"), unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ARP), Ifindex: index})
}
