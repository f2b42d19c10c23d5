package udp

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// bufferBytes is what the kernel is asked to keep of datagrams that have come and were not read: at 64 bytes each (some 768 in the kernel)
// about 5,000, which a daemon that is paused for some milliseconds does not lose.
const bufferBytes = 4 << 20

// Socket is where clients send datagrams to. Whoever has it closes it, if Run was not given it.
type Socket struct {
	fd       int
	wildcard bool // bound to all addresses
}

// Open opens a socket; its address need not be on this host yet.
func Open(bind netip.AddrPort) (*Socket, error) {
	s := &Socket{wildcard: bind.Addr().IsUnspecified()}
	var err error
	if s.fd, err = unix.Socket(family(bind.Addr()), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(bind); err != nil {
		_ = unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

// Close closes the socket.
func (s *Socket) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

func (s *Socket) prepare(bind netip.AddrPort) error {
	type option struct {
		name       string
		level, opt int
	}
	options := []option{{"IP_FREEBIND", unix.SOL_IP, unix.IP_FREEBIND}}
	info := option{"IP_PKTINFO", unix.SOL_IP, unix.IP_PKTINFO}
	if family(bind.Addr()) == unix.AF_INET6 {
		options = []option{{"IPV6_FREEBIND", unix.SOL_IPV6, unix.IPV6_FREEBIND}, {"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY}}
		info = option{"IPV6_RECVPKTINFO", unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}
	}
	if s.wildcard {
		options = append(options, info)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(s.fd, o.level, o.opt, 1); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], bufferBytes) != nil { // without CAP_NET_ADMIN
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], bufferBytes)
		}
	}
	// No SO_REUSEADDR: with UDP it lets two processes share a port, of which one gets everything.
	return os.NewSyscallError("bind", unix.Bind(s.fd, address(bind)))
}

// connected opens a socket towards a backend, with a port of its own, by which the backend tells clients apart.
func connected(to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(family(to.Addr()), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, address(to)); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func family(a netip.Addr) int {
	if a.Unmap().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func address(a netip.AddrPort) unix.Sockaddr {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
