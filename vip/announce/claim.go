package announce

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/internal/checksum"
)

// A Claim is what a frame of ARP or neighbour discovery says: this address is at this MAC.
type Claim struct {
	Addr  netip.Addr // 0.0.0.0 in an ARP probe
	MAC   MAC        // as the payload says
	From  MAC        // as the Ethernet header says
	Reply bool       // an ARP reply, or a solicited advertisement
	To    netip.Addr // whom it was said to: the target of ARP, the destination of an advertisement
}

var errFrame = errors.New("neither ARP nor a neighbour advertisement")

// Parse reads an Ethernet frame with ARP or a neighbour advertisement in it. Anything else, and anything malformed, is an error.
func Parse(frame []byte) (Claim, error) {
	if len(frame) < etherSize {
		return Claim{}, errFrame
	}
	from := MAC(frame[6:12])
	body := frame[etherSize:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_ARP:
		return parseARP(from, body)
	case unix.ETH_P_IPV6:
		return parseND(from, body)
	}
	return Claim{}, errFrame
}

func parseARP(from MAC, body []byte) (Claim, error) {
	var p arp.Packet
	if err := p.UnmarshalBinary(body); err != nil {
		return Claim{}, err
	}
	if p.HardwareType != 1 || p.ProtocolType != unix.ETH_P_IP || p.HardwareAddrLength != 6 || p.IPLength != 4 {
		return Claim{}, errFrame
	}
	if p.Operation != arp.OperationRequest && p.Operation != arp.OperationReply {
		return Claim{}, errFrame
	}
	return Claim{
		Addr: p.SenderIP, MAC: MAC(p.SenderHardwareAddr), From: from,
		Reply: p.Operation == arp.OperationReply, To: p.TargetIP,
	}, nil
}

// parseND takes advertisements without extension headers: RFC 6980 forbids them in fragments, and nobody sends the others.
func parseND(from MAC, body []byte) (Claim, error) {
	if len(body) < ip6Size || body[0]>>4 != 6 || body[6] != unix.IPPROTO_ICMPV6 || body[7] != ndp.HopLimit {
		return Claim{}, errFrame
	}
	size := int(binary.BigEndian.Uint16(body[4:]))
	src, dst := netip.AddrFrom16([16]byte(body[8:24])), netip.AddrFrom16([16]byte(body[24:40]))
	body = body[ip6Size:]
	if size > len(body) {
		return Claim{}, errFrame
	}
	body = body[:size]
	if len(body) == 0 || body[0] != ndAdvertise || checksum.Of(pseudo6(src, dst, unix.IPPROTO_ICMPV6, len(body)), body) != 0 {
		return Claim{}, errFrame
	}
	m, err := ndp.ParseMessage(body)
	if err != nil {
		return Claim{}, err
	}
	na, ok := m.(*ndp.NeighborAdvertisement)
	if !ok {
		return Claim{}, errFrame
	}
	c := Claim{Addr: na.TargetAddress, MAC: from, From: from, Reply: na.Solicited, To: dst}
	for _, o := range na.Options {
		if ll, ok := o.(*ndp.LinkLayerAddress); ok && ll.Direction == ndp.Target {
			if m, ok := MACOf(ll.Addr); ok {
				c.MAC = m
			}
		}
	}
	return c, nil
}

const ndAdvertise = 136 // RFC 4861, 4.4
