package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ResetTCP is a firewall in the host that resets every TCP connection from or to a port: those that are open now, and each one that is tried until
// the heal.
func (h *Host) ResetTCP(port uint16) (*Fault, error) {
	what := fmt.Sprintf("TCP port %d of %s reset by a firewall", port, h.name)
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "resetting"}
	err := h.nft(func(c *nftables.Conn) {
		t := c.AddTable(table)
		chain := c.AddChain(&nftables.Chain{
			Name: "in", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
		})
		for _, offset := range []uint32{0, 2} { // source port, destination port
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal([]byte{unix.IPPROTO_TCP}),
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
				equal(binary.BigEndian.AppendUint16(nil, port)),
				&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
			}})
		}
	})
	if err == nil {
		err = h.Do(func() error { return destroy(port) })
	}
	return fault(what, err, func() error { return h.nft(func(c *nftables.Conn) { c.DelTable(table) }) })
}

// destroy has the kernel abort the open connections from or to a port; the other end gets a RST. It runs inside the host.
func destroy(port uint16) error {
	var socks []*netlink.Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} { // a server for both has its IPv4 connections among those of IPv6
		list, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return fmt.Errorf("list connections: %w", err)
		}
		socks = append(socks, list...)
	}
	for _, s := range socks {
		if s.State != netlink.TCP_ESTABLISHED || s.ID.SourcePort != port && s.ID.DestinationPort != port {
			continue
		}
		local := &net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)}
		remote := &net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)}
		if err := netlink.SocketDestroy(local, remote); err != nil {
			return fmt.Errorf("reset %s to %s: %w", local, remote, err)
		}
	}
	return nil
}

// Pin makes the host send what is for an address to a MAC, whatever is announced, until the heal: so that it can ask a host that the rest of
// the segment has forgotten.
func (h *Host) Pin(a netip.Addr, mac net.HardwareAddr) (*Fault, error) {
	entry := func(link netlink.Link) *netlink.Neigh {
		return &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac}
	}
	err := h.withLink(func(link netlink.Link) error { return netlink.NeighSet(entry(link)) })
	return fault(fmt.Sprintf("%s pinned to %s on %s", a, mac, h.name), err, func() error {
		return h.withLink(func(link netlink.Link) error { return netlink.NeighDel(entry(link)) })
	})
}

// FlushRules removes every nftables rule of the host, whoever made it, as the restart of a firewall does.
func (h *Host) FlushRules() error {
	return h.nft(func(c *nftables.Conn) { c.FlushRuleset() })
}
