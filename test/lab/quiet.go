package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// quiet names the tables that keep a host from asking.
const quiet = "quiet"

// KeepNeighbours makes the host a client that believes what it once learned: its neighbour cache keeps the entries for the addresses and
// never asks again by itself. Only what others announce changes them. Both addresses must be reachable at the call, which asks for them
// once. It stands for the router whose cache lives for hours. A second call forgets, asks and keeps again.
func (h *Host) KeepNeighbours(addrs ...netip.Addr) error {
	if err := h.forget(); err != nil {
		return fmt.Errorf("let %s ask again: %w", h.name, err)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		// An entry that is not confirmed waits this long, in DELAY, before it is probed.
		if err := h.Sysctl(family+"/neigh/"+eth+"/delay_first_probe_time", strconv.Itoa(24*3600)); err != nil {
			return fmt.Errorf("keep the neighbours of %s: %w", h.name, err)
		}
	}
	for _, a := range addrs {
		if err := h.learn(a); err != nil {
			return err
		}
	}
	return h.silence()
}

// forget lets the host ask again, and empties its neighbour cache.
func (h *Host) forget() error {
	err := h.nft(func(c *nftables.Conn) {
		for _, family := range []nftables.TableFamily{nftables.TableFamilyARP, nftables.TableFamilyIPv6} {
			t := c.AddTable(&nftables.Table{Family: family, Name: quiet}) // so that there is one to delete
			c.DelTable(t)
		}
	})
	if err != nil {
		return err
	}
	return h.withLink(func(link netlink.Link) error {
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		for _, n := range list {
			_ = netlink.NeighDel(&n) // one that went by itself is as good
		}
		return nil
	})
}

// learn makes the kernel ask for an address, with a datagram that nobody answers.
func (h *Host) learn(a netip.Addr) error {
	return h.Do(func() error {
		sa, domain := sockaddr(netip.AddrPortFrom(a, 9)) // discard
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, []byte{0}, 0, sa)
	})
}

// silence drops the questions that the host's kernel would ask: ARP requests and neighbour solicitations. Answers pass.
func (h *Host) silence() error {
	const arpOut = 1 // NF_ARP_OUT of linux/netfilter_arp.h; the hooks of ARP have numbers of their own
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	err := h.nft(func(c *nftables.Conn) {
		arp := c.AddTable(&nftables.Table{Family: nftables.TableFamilyARP, Name: quiet})
		out := c.AddChain(&nftables.Chain{
			Name: "out", Table: arp, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookRef(arpOut), Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: arp, Chain: out, Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2}, equal([]byte{0, 1}), drop,
		}})
		ip6 := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: quiet})
		out6 := c.AddChain(&nftables.Chain{
			Name: "out", Table: ip6, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: ip6, Chain: out6, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal([]byte{unix.IPPROTO_ICMPV6}),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}, equal([]byte{135}), drop,
		}})
	})
	if err != nil {
		return fmt.Errorf("silence %s: %w", h.name, err)
	}
	return nil
}

// Neighbour is what the host's kernel believes: the name of the host that has the address, or a MAC, or nothing.
func (h *Host) Neighbour(a netip.Addr) (string, error) {
	var name string
	err := h.withLink(func(link netlink.Link) error {
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		for _, n := range list {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a && len(n.HardwareAddr) > 0 {
				name = h.lab.NameOf(n.HardwareAddr)
			}
		}
		return nil
	})
	return name, err
}
