package pulse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queue is the receive buffer: a beat takes about 1 KiB of it, so that it holds those of a peer for some seconds of a pause.
const queue = 1 << 20

// sockets is a Transport over UDP, with a socket for each path.
type sockets struct {
	paths  []*socket
	event  *os.File      // an eventfd: Wake writes to it, safely even after Close
	polled []unix.PollFd // the event, then the paths
	left   unix.Timespec
	next   int // whose turn it is to be read first: a flood on one path starves no other
}

var _ Transport = (*sockets)(nil)

// openSockets listens on each address, which need not be one of this host yet.
func openSockets(binds []netip.AddrPort) (*sockets, error) {
	ev, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	s := &sockets{event: os.NewFile(uintptr(ev), "eventfd"), polled: []unix.PollFd{{Fd: int32(ev), Events: unix.POLLIN}}}
	for _, b := range binds {
		p, err := openSocket(b)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for beats on %s (udp): %w", b, err), s.Close())
		}
		s.paths = append(s.paths, p)
		s.polled = append(s.polled, unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN})
	}
	return s, nil
}

// Read is in Transport.
func (s *sockets) Read(b []byte) (a Arrival, ok bool, err error) {
	for range s.paths {
		i := s.next
		s.next = (s.next + 1) % len(s.paths)
		if a, ok, err = s.paths[i].Read(b); ok || err != nil {
			a.Path = i
			return a, ok, err
		}
	}
	return Arrival{}, false, nil
}

// Write is in Transport.
func (s *sockets) Write(b []byte, path int, to netip.AddrPort) error {
	return s.paths[path].Write(b, to)
}

// Wake is in Transport.
func (s *sockets) Wake() {
	one := [8]byte{1}            // in either byte order not zero
	_, _ = s.event.Write(one[:]) // full: a wake-up is pending; closed: nobody waits
}

// Close is in Transport.
func (s *sockets) Close() error {
	errs := []error{s.event.Close()}
	for _, p := range s.paths {
		errs = append(errs, unix.Close(p.fd))
	}
	return errors.Join(errs...)
}

// socket is one of them. Its system calls are made by hand, because those of the net package allocate, give no receive times, and
// park the goroutine instead of the thread.
type socket struct {
	fd    int
	six   bool
	zones map[string]uint32

	// For recvmsg; reused.
	msg  unix.Msghdr
	iov  unix.Iovec
	name unix.RawSockaddrInet6
	oob  [256]byte
	to   unix.RawSockaddrInet6
}

// openSocket listens on bind, which need not be an address of this host yet.
func openSocket(bind netip.AddrPort) (*socket, error) {
	s := &socket{six: bind.Addr().Is6() && !bind.Addr().Is4In6(), zones: map[string]uint32{}}
	family := unix.AF_INET
	if s.six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s.fd = fd
	if err := s.setUp(bind); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return s, nil
}

func (s *socket) setUp(bind netip.AddrPort) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
	}
	// The rest is better to have than not to have. 0xc0 is DSCP CS6, network control; 6 its queue.
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queue) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queue)
	}
	if s.six {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xc0)
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS, 0xc0)
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6)
	n, err := s.sockaddr(&s.to, bind)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_BIND, uintptr(s.fd), uintptr(unsafe.Pointer(&s.to)), n); e != 0 {
		return fmt.Errorf("bind: %w", e)
	}
	return nil
}

// Read reads one datagram, as Transport says.
func (s *socket) Read(b []byte) (Arrival, bool, error) {
	s.iov.Base = &b[0]
	s.iov.SetLen(len(b))
	s.msg = unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&s.name)), Namelen: uint32(unsafe.Sizeof(s.name)),
		Iov: &s.iov, Control: &s.oob[0],
	}
	s.msg.SetIovlen(1)
	s.msg.SetControllen(len(s.oob))
	n, _, e := keeping(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msg)), unix.MSG_DONTWAIT, 0, 0, 0)
	switch e {
	case 0:
	case unix.EAGAIN:
		return Arrival{}, false, nil
	case unix.EINTR:
		return s.Read(b)
	default:
		return Arrival{}, false, fmt.Errorf("recvmsg: %w", e)
	}
	a := Arrival{N: int(n), From: s.from(), Stamp: s.stamp()}
	if s.msg.Flags&unix.MSG_TRUNC != 0 {
		a.N = len(b) + 1
	}
	return a, true, nil
}

// stamp finds the receive time among the control messages.
func (s *socket) stamp() int64 {
	oob := s.oob[:min(int(s.msg.Controllen), len(s.oob))]
	for len(oob) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		l := int(h.Len)
		if l < unix.SizeofCmsghdr || l > len(oob) {
			return 0
		}
		body := oob[unix.CmsgLen(0):l]
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS && len(body) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&body[0]))
			return ts.Nano()
		}
		next := unix.CmsgSpace(l - unix.CmsgLen(0))
		if next >= len(oob) {
			return 0
		}
		oob = oob[next:]
	}
	return 0
}

func (s *socket) from() netip.AddrPort {
	if s.name.Family == unix.AF_INET {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))
	}
	a := netip.AddrFrom16(s.name.Addr).Unmap()
	if s.name.Scope_id != 0 && a.Is6() {
		a = a.WithZone(strconv.FormatUint(uint64(s.name.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, port(&s.name.Port))
}

// Write sends one datagram, as Transport says.
func (s *socket) Write(b []byte, to netip.AddrPort) error {
	n, err := s.sockaddr(&s.to, to)
	if err != nil {
		return err
	}
	_, _, e := keeping(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&s.to)), n)
	if e != 0 {
		return fmt.Errorf("sendto: %w", e)
	}
	return nil
}

// sockaddr fills in sa for the socket's family.
func (s *socket) sockaddr(sa *unix.RawSockaddrInet6, a netip.AddrPort) (size uintptr, err error) {
	addr := a.Addr()
	if !s.six {
		if !addr.Unmap().Is4() {
			return 0, fmt.Errorf("%s cannot be reached from an IPv4 address: let cluster.bind and cluster.peers be of one family", a)
		}
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Unmap().As4()}
		setPort(&in.Port, a.Port())
		return unsafe.Sizeof(*in), nil
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: s.zone(addr.Zone())}
	setPort(&sa.Port, a.Port())
	return unsafe.Sizeof(*sa), nil
}

// zone turns eth0 or 2 into 2. Names that were found are remembered: this runs for each beat.
func (s *socket) zone(z string) uint32 {
	if z == "" {
		return 0
	}
	if n, ok := s.zones[z]; ok {
		return n
	}
	n, err := strconv.ParseUint(z, 10, 32)
	if err != nil {
		i, err := net.InterfaceByName(z)
		if err != nil {
			return 0
		}
		n = uint64(i.Index)
	}
	s.zones[z] = uint32(n)
	return uint32(n)
}

func port(p *uint16) uint16       { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
func setPort(p *uint16, v uint16) { binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], v) }
