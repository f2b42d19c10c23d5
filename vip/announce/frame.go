package announce

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// Sizes and offsets, in bytes.
const (
	etherSize = 14
	ip4Size   = 20
	ip6Size   = 40
	tcpSize   = 20
)

// A MAC is a hardware address that can be compared. Links other than Ethernet-like ones cannot carry a virtual address.
type MAC [6]byte

// MACOf converts; ok is false for hardware addresses that are not six bytes long.
func MACOf(h net.HardwareAddr) (m MAC, ok bool) {
	if len(h) != len(m) {
		return m, false
	}
	return MAC(h), true
}

// HardwareAddr converts to the standard library's type, by copying.
func (m MAC) HardwareAddr() net.HardwareAddr { return bytes.Clone(m[:]) }

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Broadcast is Ethernet's.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ether begins a frame.
func ether(dst, src MAC, typ uint16) []byte {
	b := append(dst[:], src[:]...)
	return binary.BigEndian.AppendUint16(b, typ)
}

func arpFrame(dst, src MAC, op arp.Operation, sha MAC, spa netip.Addr, tha MAC, tpa netip.Addr) []byte {
	p, err := arp.NewPacket(op, sha[:], spa, tha[:], tpa)
	if err != nil {
		return nil // an IPv6 address: callers choose by family
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return nil // never, says its documentation
	}
	return append(ether(dst, src, unix.ETH_P_ARP), body...)
}

// Gratuitous is the request form of an announcement: everybody who has an entry for vip updates it to mac. src is the sender on
// the Ethernet level, so that a node can point to another one without confusing switches.
func Gratuitous(src, mac MAC, vip netip.Addr) []byte {
	return arpFrame(Broadcast(), src, arp.OperationRequest, mac, vip, MAC{}, vip)
}

// GratuitousReply is the reply form. The target hardware address is the sender's: with the broadcast address there, Linux does not take
// it as gratuitous and ignores it for one second after another update.
func GratuitousReply(src, mac MAC, vip netip.Addr) []byte {
	return arpFrame(Broadcast(), src, arp.OperationReply, mac, vip, mac, vip)
}

// Tell is a reply to one neighbour that has not asked: for routers that ignore broadcast announcements.
func Tell(mac MAC, vip netip.Addr, to MAC, toAddr netip.Addr) []byte {
	return arpFrame(to, mac, arp.OperationReply, mac, vip, to, toAddr)
}

// Ask asks dst (broadcast, or one host) who has addr. from is 0.0.0.0 in a probe (RFC 5227, 2.1.1), which changes no neighbour's cache.
func Ask(dst, mac MAC, from, addr netip.Addr) []byte {
	return arpFrame(dst, mac, arp.OperationRequest, mac, from, MAC{}, addr)
}

// ndFrame wraps a message of neighbour discovery. The hop limit is 255 (RFC 4861, 7.1).
func ndFrame(dst, src MAC, from, to netip.Addr, m ndp.Message) []byte {
	body, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		return nil // an IPv4 address: callers choose by family
	}
	b := ether(dst, src, unix.ETH_P_IPV6)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, unix.IPPROTO_ICMPV6, ndp.HopLimit)
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	return append(b, body...)
}

// allNodes is ff02::1.
func allNodes() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1}) }

// multicast is the Ethernet address of an IPv6 multicast group (RFC 2464, 7).
func multicast(group netip.Addr) MAC {
	a := group.As16()
	return MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// Unsolicited is the announcement of an IPv6 address: a neighbour advertisement with the override flag, to all nodes, or, if to is not the
// zero MAC, to the one neighbour to at toAddr.
func Unsolicited(src, mac MAC, vip netip.Addr, to MAC, toAddr netip.Addr) []byte {
	if to == (MAC{}) {
		to, toAddr = multicast(allNodes()), allNodes()
	}
	return ndFrame(to, src, vip, toAddr, &ndp.NeighborAdvertisement{
		Override:      true,
		TargetAddress: vip,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac[:]}},
	})
}

// Solicit asks for an IPv6 address, from an address of this node: from :: it would make the holder announce itself to everybody.
// to is the zero MAC, for everybody whom it may concern, or one host's.
func Solicit(mac MAC, from, addr netip.Addr, to MAC) []byte {
	a := addr.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
	dst := addr
	if to == (MAC{}) {
		to, dst = multicast(group), group
	}
	return ndFrame(to, mac, from, dst, &ndp.NeighborSolicitation{
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac[:]}},
	})
}
