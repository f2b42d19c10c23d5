package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Announce says on the segment that the host's MAC has the address: gratuitous ARP in both forms, or an unsolicited neighbour
// advertisement. The host need not have it.
func (h *Host) Announce(a netip.Addr) error {
	var frames [][]byte
	if a.Is4() {
		frames = append(frames, arpFrame(broadcast(), h.mac, 1, h.mac, a, make([]byte, 6), a), arpFrame(broadcast(), h.mac, 2, h.mac, a, h.mac, a))
	} else {
		frames = append(frames, h.unsolicitedNA(a))
	}
	return h.Send(frames...)
}

// Send puts Ethernet frames on the host's link, complete with their headers.
func (h *Host) Send(frames ...[]byte) error {
	return h.Do(func() error {
		ifi, err := net.InterfaceByName(eth)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
				return fmt.Errorf("send from %s: %w", h.name, err)
			}
		}
		return nil
	})
}

// unsolicitedNA is a neighbour advertisement with the override flag to all nodes.
func (h *Host) unsolicitedNA(a netip.Addr) []byte {
	src, all := a.As16(), netip.MustParseAddr("ff02::1").As16()
	icmp := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, src[:]...)
	icmp = append(append(icmp, 2, 1), h.mac...) // option: target link-layer address
	binary.BigEndian.PutUint16(icmp[2:], checksum6(src, all, icmp))
	f := slices.Concat(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, h.mac, []byte{0x86, 0xdd, 0x60, 0, 0, 0})
	f = binary.BigEndian.AppendUint16(f, uint16(len(icmp)))
	f = append(f, unix.IPPROTO_ICMPV6, 255)
	return slices.Concat(f, src[:], all[:], icmp)
}

// Usurp makes the host a stranger that claims an address: it takes it and announces it, once. Healing removes the address; nobody tells
// the segment.
func (l *Lab) Usurp(h *Host, a netip.Addr) (*Fault, error) {
	p := netip.PrefixFrom(a, a.BitLen())
	err := h.AddAddr(p)
	if err == nil {
		err = h.Announce(a)
	}
	return fault(h.name+" claims "+a.String(), err, func() error { return h.DelAddr(p) })
}
