package link

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Fact is the state of an interface. It is a copy.
type Fact struct {
	Name    string
	Index   int  // 0: the interface does not exist
	Up      bool // administratively
	Carrier bool
	MAC     net.HardwareAddr
	Addrs   []Addr
	Remover string // the process that removed an address last, as far as the kernel tells: name[pid]
}

// Addr is an address on the interface.
type Addr struct {
	Prefix    netip.Prefix
	Permanent bool // it has no lifetime
	Tentative bool // IPv6: not yet, or never to be used, because duplicate address detection has not passed
}

// Find returns the entry of an address, whatever its prefix length.
func (f Fact) Find(a netip.Addr) (Addr, bool) {
	i := slices.IndexFunc(f.Addrs, func(x Addr) bool { return x.Prefix.Addr() == a })
	if i < 0 {
		return Addr{}, false
	}
	return f.Addrs[i], true
}

// Own returns the best address of this host, other than the given ones, to speak to an address from: one whose network
// contains it, else one that is not link-local, else any of the family.
func (f Fact) Own(to netip.Addr, except []netip.Addr) (netip.Addr, bool) {
	best, rank := netip.Addr{}, 0
	for _, a := range f.Addrs {
		own := a.Prefix.Addr()
		if own.Is4() != to.Is4() || a.Tentative || slices.Contains(except, own) {
			continue
		}
		r := 1
		if !own.IsLinkLocalUnicast() {
			r = 2
		}
		if a.Prefix.Contains(to) {
			r = 3
		}
		if r > rank {
			best, rank = own, r
		}
	}
	return best, rank > 0
}

// Why says what keeps the link from carrying virtual addresses; empty: nothing. all are those of this host, vips those of them that belong here. An address of
// the host's own is asked for because a link that is configured only in part, as at boot, loses what is put on it early.
func (f Fact) Why(all, vips []netip.Addr) string {
	switch {
	case f.Index == 0:
		return fmt.Sprintf("%s does not exist", f.Name)
	case !f.Up:
		return fmt.Sprintf("%s is down (ip link set %s up)", f.Name, f.Name)
	case !f.Carrier:
		return fmt.Sprintf("%s has no carrier", f.Name)
	case len(f.MAC) != 6:
		return fmt.Sprintf("%s is not an Ethernet link", f.Name)
	case len(vips) == 0:
		return ""
	}
	want := max(0, slices.IndexFunc(vips, netip.Addr.Is4))
	if _, ok := f.Own(vips[want], all); !ok {
		family := "IPv6"
		if vips[want].Is4() {
			family = "IPv4"
		}
		return fmt.Sprintf("%s has no %s address of its own", f.Name, family)
	}
	return ""
}

func (f Fact) clone() Fact {
	f.MAC = slices.Clone(f.MAC)
	f.Addrs = slices.Clone(f.Addrs)
	return f
}

// with returns the addresses with a put in, or its entry replaced.
func with(addrs []Addr, a Addr) []Addr {
	addrs = without(addrs, a.Prefix)
	return append(addrs, a)
}

func without(addrs []Addr, p netip.Prefix) []Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(x Addr) bool { return x.Prefix == p })
}
