package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many datagrams one system call moves at most. More saves little: the call is a small part by then.
	batchSize = 32
	// datagramSize holds the largest datagram. What is never touched of a buffer costs no memory.
	datagramSize = 64 << 10
	controlSize  = 64
)

// sockaddr is a socket address in the kernel's form.
type sockaddr struct {
	raw unix.RawSockaddrInet6 // the larger one
	len uint32
}

// addrPort reads the address; false if it is of no internet family.
func (s *sockaddr) addrPort() (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.raw.Port))[:]) // at the same place in both families
	switch s.raw.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr), port), true
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batch is datagrams that are received, or sent, by one system call.
type batch struct {
	msgs    [batchSize]mmsghdr
	iovs    [batchSize]unix.Iovec
	names   [batchSize]sockaddr
	control [batchSize][controlSize]byte
	bufs    []byte
	next    [batchSize]int // the next datagram of the same flow; -1 ends
	chain   [batchSize]mmsghdr
	n       int // datagrams in it
}

func newBatch() *batch {
	b := &batch{bufs: make([]byte, batchSize*datagramSize)}
	for i := range b.msgs {
		b.iovs[i].Base = &b.bufs[i*datagramSize]
		b.msgs[i].hdr.Iov = &b.iovs[i]
		b.msgs[i].hdr.SetIovlen(1)
	}
	return b
}

// receive adds what can be received on a socket without waiting, room datagrams at most, and returns how many that were. named says that
// senders are wanted, and controlled that the address is wanted that it was sent to.
func (b *batch) receive(fd, room int, named, controlled bool) (int, unix.Errno) {
	room = min(room, batchSize-b.n)
	for i := b.n; i < b.n+room; i++ {
		h := &b.msgs[i].hdr
		b.iovs[i].SetLen(datagramSize)
		h.Name, h.Namelen, h.Control, h.Flags = nil, 0, nil, 0
		h.SetControllen(0)
		if named {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[i].raw)), unix.SizeofSockaddrInet6
		}
		if controlled {
			h.Control = &b.control[i][0]
			h.SetControllen(controlSize)
		}
	}
	for {
		// The socket does not block, so the scheduler need not be told of the call.
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[b.n])), uintptr(room), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for i := b.n; i < b.n+int(n); i++ {
				b.iovs[i].SetLen(int(b.msgs[i].n))
				b.names[i].len = b.msgs[i].hdr.Namelen
			}
			b.n += int(n)
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// address makes datagram i one to a client, from an address of ours if that is valid.
func (b *batch) address(i int, to *sockaddr, from netip.Addr) {
	b.names[i] = *to
	h := &b.msgs[i].hdr
	h.Name, h.Namelen, h.Control, h.Flags = (*byte)(unsafe.Pointer(&b.names[i].raw)), to.len, nil, 0
	h.SetControllen(0)
	if from.IsValid() {
		h.Control = &b.control[i][0]
		h.SetControllen(putSource(&b.control[i], from))
	}
}

// send sends the datagrams of the batch on one socket and empties it. It returns how many were not taken, because the buffer is full or there is no
// way to where they go; one that cannot be sent holds up no other.
func (b *batch) send(fd int) (lost int) {
	for i := 0; i < b.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[i])), uintptr(b.n-i), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			i += int(n)
		case unix.EINTR:
		default:
			i++
			lost++
		}
	}
	b.n = 0
	return lost
}

// sendOn sends datagrams of one flow, from first on, on a connected socket. It returns the first that was not sent; the error is that one's.
func (b *batch) sendOn(fd, first int) (next int, errno unix.Errno) {
	if b.next[first] >= 0 {
		return b.sendMany(fd, first)
	}
	for {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(b.iovs[first].Base)), uintptr(b.iovs[first].Len),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return -1, 0
		case unix.EINTR:
		default:
			return first, errno
		}
	}
}

func (b *batch) sendMany(fd, first int) (next int, errno unix.Errno) {
	n := 0
	for i := first; i >= 0; i = b.next[i] {
		h := &b.chain[n].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		n++
	}
	for {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.chain[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for range int(sent) {
				first = b.next[first]
			}
			return first, 0
		case unix.EINTR:
		default:
			return first, errno
		}
	}
}

// local returns the address that datagram i was sent to, if the kernel has told.
func (b *batch) local(i int) netip.Addr {
	n := int(b.msgs[i].hdr.Controllen)
	if n < unix.SizeofCmsghdr || n > controlSize {
		return netip.Addr{}
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b.control[i][0]))
	data := unsafe.Pointer(&b.control[i][unix.CmsgLen(0)])
	switch {
	case c.Level == unix.SOL_IP && c.Type == unix.IP_PKTINFO && n >= unix.CmsgLen(unix.SizeofInet4Pktinfo):
		return netip.AddrFrom4((*unix.Inet4Pktinfo)(data).Addr)
	case c.Level == unix.SOL_IPV6 && c.Type == unix.IPV6_PKTINFO && n >= unix.CmsgLen(unix.SizeofInet6Pktinfo):
		return netip.AddrFrom16((*unix.Inet6Pktinfo)(data).Addr)
	}
	return netip.Addr{}
}

// putSource writes the control message that chooses the address to send from, and returns its length.
func putSource(b *[controlSize]byte, from netip.Addr) int {
	*b = [controlSize]byte{}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	data := unsafe.Pointer(&b[unix.CmsgLen(0)])
	if from.Is4() {
		c.Level, c.Type = unix.SOL_IP, unix.IP_PKTINFO
		c.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		(*unix.Inet4Pktinfo)(data).Spec_dst = from.As4()
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	c.Level, c.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	c.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	(*unix.Inet6Pktinfo)(data).Addr = from.As16()
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}
