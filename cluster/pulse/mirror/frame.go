package mirror

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/internal/checksum"
)

// Sizes and offsets, in bytes, and types of ICMP (RFC 792, RFC 4443).
const (
	etherSize = 14
	ip4Size   = 20
	ip6Size   = 40
	icmpSize  = 8

	echo4, reply4 = 8, 0
	echo6, reply6 = 128, 129
)

// magic begins every beat: by it echo replies with beats are told from others.
const magic = "TNDB"

// identifier is that of our echo requests, for those who read a trace: "TM".
const identifier = 0x544d

// request is an echo request that makes a mirror send the beat to a peer.
type request struct {
	Src, Dst     net.HardwareAddr // this node's, and the mirror's
	Peer, Mirror netip.Addr
	Seq          uint16
	Beat         []byte
}

// appendTo appends the frame. Both addresses are of one family.
func (r request) appendTo(b []byte) []byte {
	be := binary.BigEndian
	b = append(append(b, r.Dst...), r.Src...)
	size := icmpSize + len(r.Beat)
	if r.Peer.Is4() {
		b = be.AppendUint16(b, unix.ETH_P_IP)
		head := len(b)
		b = append(b, 0x45, 0xc0) // no options; network control
		b = be.AppendUint16(b, uint16(ip4Size+size))
		b = append(b, 0, 0, 0x40, 0, 64, unix.IPPROTO_ICMP, 0, 0) // must not be fragmented
		b = append(append(b, r.Peer.AsSlice()...), r.Mirror.AsSlice()...)
		be.PutUint16(b[head+10:], checksum.Of(0, b[head:]))
		return r.icmp(b, echo4, 0)
	}
	b = be.AppendUint16(b, unix.ETH_P_IPV6)
	b = append(b, 0x6c, 0, 0, 0)
	b = be.AppendUint16(b, uint16(size))
	b = append(b, unix.IPPROTO_ICMPV6, 64)
	addrs := len(b)
	b = append(append(b, r.Peer.AsSlice()...), r.Mirror.AsSlice()...)
	return r.icmp(b, echo6, checksum.Add(unix.IPPROTO_ICMPV6+uint32(size), b[addrs:])) // with the pseudo-header (RFC 8200, 8.1)
}

func (r request) icmp(b []byte, typ byte, pseudo uint32) []byte {
	at := len(b)
	b = append(b, typ, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, identifier)
	b = binary.BigEndian.AppendUint16(b, r.Seq)
	b = append(b, r.Beat...)
	binary.BigEndian.PutUint16(b[at+2:], checksum.Of(pseudo, b[at:]))
	return b
}

var errFrame = errors.New("not an echo reply with a beat")

// parse finds the beat in an echo reply, and who sent the reply. The beat is a part of frame. Nothing in it is to be believed yet.
func parse(frame []byte) (beat []byte, from netip.Addr, err error) {
	if len(frame) < etherSize {
		return nil, from, errFrame
	}
	be := binary.BigEndian
	b := frame[etherSize:]
	typ := byte(reply4)
	switch be.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(b) < ip4Size || b[0]>>4 != 4 || b[9] != unix.IPPROTO_ICMP || be.Uint16(b[6:])&0x3fff != 0 { // a fragment
			return nil, from, errFrame
		}
		head, size := int(b[0]&0xf)*4, int(be.Uint16(b[2:]))
		if head < ip4Size || size < head || size > len(b) {
			return nil, from, errFrame
		}
		from = netip.AddrFrom4([4]byte(b[12:16]))
		b = b[head:size]
	case unix.ETH_P_IPV6:
		if len(b) < ip6Size || b[0]>>4 != 6 || b[6] != unix.IPPROTO_ICMPV6 {
			return nil, from, errFrame
		}
		size := ip6Size + int(be.Uint16(b[4:]))
		if size > len(b) {
			return nil, from, errFrame
		}
		from = netip.AddrFrom16([16]byte(b[8:24]))
		b, typ = b[ip6Size:size], reply6
	default:
		return nil, from, errFrame
	}
	if len(b) < icmpSize+len(magic) || b[0] != typ || b[1] != 0 || string(b[icmpSize:icmpSize+len(magic)]) != magic {
		return nil, from, errFrame
	}
	return b[icmpSize:], from, nil
}
