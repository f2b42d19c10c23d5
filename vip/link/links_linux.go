package link

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Links changes and reads the interfaces of the network namespace in which it was opened. Its methods may be called concurrently.
// They block while somebody else holds the kernel's routing lock, which can be seconds.
type Links struct {
	act  *netlink.Handle
	look *netlink.Handle // of its own, so that looking never waits for acting
}

// Open must be called on a thread that is in the network namespace. Whoever calls must Close.
func Open() (*Links, error) {
	act, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	look, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		act.Close()
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &Links{act: act, look: look}, nil
}

// Close closes the sockets.
func (l *Links) Close() error {
	l.act.Close()
	l.look.Close()
	return nil
}

// Look reads the state of an interface. One that does not exist is no error: its index is 0.
func (l *Links) Look(name string) (f Fact, err error) {
	for range 3 { // a dump during which something changed is to be repeated
		if f, err = l.lookOnce(name); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return f, err
}

func (l *Links) lookOnce(name string) (Fact, error) {
	ln, err := l.look.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return Fact{Name: name}, nil
	}
	if err != nil {
		return Fact{}, fmt.Errorf("look at %s: %w", name, err)
	}
	f := factOf(ln.Attrs())
	f.Name = name
	addrs, err := l.look.AddrList(ln, netlink.FAMILY_ALL)
	if err != nil {
		return Fact{}, fmt.Errorf("list the addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok {
			f.Addrs = append(f.Addrs, addrOf(p, a.Flags, uint32(a.ValidLft)))
		}
	}
	return f, nil
}

func factOf(a *netlink.LinkAttrs) Fact {
	f := Fact{Name: a.Name, Index: a.Index, MAC: a.HardwareAddr}
	f.setFlags(a.RawFlags)
	return f
}

func (f *Fact) setFlags(flags uint32) {
	f.Up = flags&unix.IFF_UP != 0
	// LOWER_UP is the wire; RUNNING adds what bonds, bridges and 802.1X know about it.
	f.Carrier = flags&unix.IFF_LOWER_UP != 0 && flags&unix.IFF_RUNNING != 0
}

func addrOf(p netip.Prefix, flags int, valid uint32) Addr {
	return Addr{
		Prefix: p, Permanent: valid == math.MaxUint32 || flags&unix.IFA_F_PERMANENT != 0,
		Tentative: flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
	}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p, ok && p.IsValid()
}

// Add puts an address on an interface, or, if it is there, begins its lifetime anew. The kernel removes the address when the lifetime, in whole seconds,
// ends. IPv6 addresses are used at once, without duplicate address detection, and are never chosen as a source.
func (l *Links) Add(index int, p netip.Prefix, life time.Duration) error {
	seconds := int(life / time.Second)
	if seconds < 1 {
		return fmt.Errorf("add %s: a lifetime of %s, must be at least 1s", p, life)
	}
	a := &netlink.Addr{IPNet: netOf(p), LinkIndex: index, ValidLft: seconds, PreferedLft: seconds}
	if p.Addr().Is6() {
		a.PreferedLft = 0
		a.Flags = unix.IFA_F_NODAD
	}
	if err := l.act.AddrReplace(linkOf(index), a); err != nil {
		return fmt.Errorf("add %s: %w", p, err)
	}
	return nil
}

// Remove takes an address off an interface. It is no error if it, or the interface, is not there.
func (l *Links) Remove(index int, p netip.Prefix) error {
	err := l.act.AddrDel(linkOf(index), &netlink.Addr{IPNet: netOf(p), LinkIndex: index})
	if err == nil || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", p, err)
}

func linkOf(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Neighbours lists the hosts that this one has spoken to on an interface of late.
func (l *Links) Neighbours(index int) ([]netip.Addr, error) {
	entries, err := l.look.NeighList(index, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	var found []netip.Addr
	for _, e := range entries {
		const useful = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
		a, ok := netip.AddrFromSlice(e.IP)
		if ok && e.State&useful != 0 && len(e.HardwareAddr) == 6 {
			found = append(found, a.Unmap())
		}
	}
	return found, nil
}
