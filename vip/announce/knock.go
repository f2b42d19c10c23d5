package announce

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/internal/checksum"
)

// TCP's flags (RFC 9293, 3.1).
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// A Knock is the beginning of a TCP connection that is never made: a SYN from one of our addresses, handed to one MAC.
type Knock struct {
	Mine, Theirs netip.AddrPort
	Seq          uint32
}

// Answer is what came back.
type Answer uint8

const (
	// NoAnswer: the segment is not an answer to the knock.
	NoAnswer Answer = iota
	// Refused: a RST.
	Refused
	// Accepted: a SYN-ACK.
	Accepted
)

// Frame is the SYN.
func (k Knock) Frame(dst, src MAC) []byte {
	var tcp [tcpSize + 4]byte
	binary.BigEndian.PutUint16(tcp[0:], k.Mine.Port())
	binary.BigEndian.PutUint16(tcp[2:], k.Theirs.Port())
	binary.BigEndian.PutUint32(tcp[4:], k.Seq)
	tcp[12], tcp[13] = len24, flagSYN
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	copy(tcp[20:], []byte{2, 4, 0x05, 0xb4}) // maximum segment size, 1460
	from, to := k.Mine.Addr(), k.Theirs.Addr()
	if to.Is4() {
		binary.BigEndian.PutUint16(tcp[16:], checksum.Of(pseudo4(from, to, unix.IPPROTO_TCP, len(tcp)), tcp[:]))
		b := ether(dst, src, unix.ETH_P_IP)
		head := []byte{0x45, 0, 0, ip4Size + len24/4, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0}
		head = append(head, from.AsSlice()...)
		head = append(head, to.AsSlice()...)
		binary.BigEndian.PutUint16(head[10:], checksum.Of(0, head))
		return append(append(b, head...), tcp[:]...)
	}
	binary.BigEndian.PutUint16(tcp[16:], checksum.Of(pseudo6(from, to, unix.IPPROTO_TCP, len(tcp)), tcp[:]))
	b := ether(dst, src, unix.ETH_P_IPV6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(tcp)), unix.IPPROTO_TCP, 64)
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	return append(b, tcp[:]...)
}

// len24 is the TCP header's length field for 24 bytes: in words, in the upper half of the byte.
const len24 = 24 / 4 << 4

var errSegment = errors.New("not a TCP segment")

// segment is the part of a TCP segment that a knock looks at.
type segment struct {
	src, dst netip.AddrPort
	ack      uint32
	flags    byte
}

// parseSegment reads an Ethernet frame with TCP in IPv4 or IPv6. Checksums are the network card's business: it may have left them to itself.
func parseSegment(frame []byte) (segment, error) {
	if len(frame) < etherSize {
		return segment{}, errSegment
	}
	body := frame[etherSize:]
	var src, dst netip.Addr
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(body) < ip4Size || body[0]>>4 != 4 || body[9] != unix.IPPROTO_TCP || binary.BigEndian.Uint16(body[6:])&0x1fff != 0 {
			return segment{}, errSegment
		}
		head := int(body[0]&0xf) * 4
		if head < ip4Size || head > len(body) {
			return segment{}, errSegment
		}
		src, dst = netip.AddrFrom4([4]byte(body[12:16])), netip.AddrFrom4([4]byte(body[16:20]))
		body = body[head:]
	case unix.ETH_P_IPV6:
		if len(body) < ip6Size || body[0]>>4 != 6 || body[6] != unix.IPPROTO_TCP {
			return segment{}, errSegment
		}
		src, dst = netip.AddrFrom16([16]byte(body[8:24])), netip.AddrFrom16([16]byte(body[24:40]))
		body = body[ip6Size:]
	default:
		return segment{}, errSegment
	}
	if len(body) < tcpSize {
		return segment{}, errSegment
	}
	return segment{
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(body[0:])),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:])),
		ack: binary.BigEndian.Uint32(body[8:]), flags: body[13],
	}, nil
}

// Answer says whether the frame answers the knock, and how.
func (k Knock) Answer(frame []byte) Answer {
	s, err := parseSegment(frame)
	if err != nil || s.src != k.Theirs || s.dst != k.Mine || s.flags&flagACK == 0 || s.ack != k.Seq+1 {
		return NoAnswer
	}
	switch {
	case s.flags&flagRST != 0:
		return Refused
	case s.flags&flagSYN != 0:
		return Accepted
	}
	return NoAnswer
}

// pseudo4 and pseudo6 begin a checksum with the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
func pseudo4(src, dst netip.Addr, proto byte, size int) uint32 {
	s, d := src.As4(), dst.As4()
	return checksum.Add(checksum.Add(uint32(proto)+uint32(size), s[:]), d[:])
}

func pseudo6(src, dst netip.Addr, proto byte, size int) uint32 {
	s, d := src.As16(), dst.As16()
	return checksum.Add(checksum.Add(uint32(proto)+uint32(size), s[:]), d[:])
}
