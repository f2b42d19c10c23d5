package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// backlog is how many connections may wait for being accepted; the kernel lowers it to somaxconn.
	backlog = 1 << 16
	// headroom is how many descriptors above the listeners' are left to others who want to be closed early.
	headroom = 256
	// highest bounds how far up a listener's descriptor is put: the kernel keeps a table up to the highest.
	highest = 1 << 17
)

// socket is a listening socket on a high descriptor. When a process dies, the kernel closes its descriptors
// in such an order that the highest go first: even with thousands of connections open the port then refuses within
// milliseconds, and the other node learns that this one is dead. Package net offers no way to choose
// a descriptor, hence the loop around accept4.
type socket struct {
	file *os.File
	raw  syscall.RawConn

	// Results of tryAccept, which is a field so that it is made once.
	tryAccept func(uintptr) bool
	fd        int
	peer      unix.Sockaddr
	err       error
}

// listen opens the socket of a listener. The address need not be on this host yet.
func listen(cfg ListenerConfig) (*socket, error) {
	fd, err := listenFD(cfg)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Bind, err)
	}
	f := os.NewFile(uintptr(raise(fd)), "listener "+cfg.Name)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("listen on %s: %w", cfg.Bind, err)
	}
	s := &socket{file: f, raw: raw}
	s.tryAccept = s.acceptOne
	return s, nil
}

func listenFD(cfg ListenerConfig) (int, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	addr := cfg.Bind.Addr()
	if addr.Is4() || addr.Is4In6() {
		sa = &unix.SockaddrInet4{Port: int(cfg.Bind.Port()), Addr: addr.As4()}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(cfg.Bind.Port()), Addr: addr.As16(), ZoneId: zone(addr.Zone())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := prepare(fd, family, cfg); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// prepare sets the options of a listening socket, most of which accepted connections inherit.
func prepare(fd, family int, cfg ListenerConfig) error {
	type option struct {
		name              string
		level, opt, value int
	}
	options := []option{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"IP_FREEBIND", unix.SOL_IP, unix.IP_FREEBIND, 1},
		{"TCP_NODELAY", unix.SOL_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_USER_TIMEOUT", unix.SOL_TCP, unix.TCP_USER_TIMEOUT, stall(cfg)},
	}
	if family == unix.AF_INET6 {
		options[1] = option{"IPV6_FREEBIND", unix.SOL_IPV6, unix.IPV6_FREEBIND, 1}
		options = append(options, option{"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY, 1})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}

// raise moves fd as high as the limit allows and returns its new number; the old one if there is no room.
func raise(fd int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return fd
	}
	for top := int(min(limit.Cur, highest)) - headroom; top > fd; top /= 2 {
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, top)
		if err == nil {
			unix.Close(fd)
			return high
		}
	}
	return fd
}

func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// close ends accept, with net.ErrClosed. It may be called from any goroutine, and twice.
func (s *socket) close() { _ = s.file.Close() }

// accept waits for a connection. One goroutine at a time may call it.
func (s *socket) accept() (net.Conn, netip.AddrPort, error) {
	if err := s.raw.Read(s.tryAccept); err != nil {
		// os.ErrClosed is not net.ErrClosed.
		return nil, netip.AddrPort{}, net.ErrClosed
	}
	if s.err != nil {
		return nil, netip.AddrPort{}, os.NewSyscallError("accept", s.err)
	}
	f := os.NewFile(uintptr(s.fd), "")
	conn, err := net.FileConn(f)
	f.Close()
	return conn, addrPort(s.peer), err
}

func (s *socket) acceptOne(fd uintptr) bool {
	for {
		s.fd, s.peer, s.err = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch s.err {
		case unix.EAGAIN:
			return false
		case unix.EINTR, unix.ECONNABORTED:
			continue
		}
		return true
	}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
