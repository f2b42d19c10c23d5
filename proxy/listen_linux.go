package proxy

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/udp"
)

const (
	// headroom is how many descriptors above a listener's are left to others, so that filling up the table
	// starves nobody.
	headroom = 256
	// highest bounds how far up a listener's descriptor is put: every descriptor below it is taken for a
	// moment, at less than 1 µs each, and the kernel keeps a table up to it, at 8 bytes each.
	highest = 1 << 16
	// keepAliveIdle, keepAliveEvery and keepAliveCount find clients of tcp listeners that have vanished, after
	// a minute, in seconds.
	keepAliveIdle, keepAliveEvery, keepAliveCount = 30, 10, 3
)

// openAll opens the listeners' sockets on high descriptors, one for each, in order; their addresses need not be on this
// host yet. When a process dies, the kernel closes its descriptors in such an order that the highest go first: even with
// thousands of connections open the ports then refuse within milliseconds, and the other node learns that this one
// is dead.
//
// A socket gets the lowest free descriptor, and package net knows no way to move it: making a connection of a
// descriptor that was accepted by hand costs a dozen system calls, a sixth of a whole short request. So
// all lower descriptors are taken for the moment of opening. One goroutine at a time may do that.
func openAll(ctx context.Context, cfgs ...ListenerConfig) ([]io.Closer, []error) {
	release := fillDescriptors()
	defer release()
	opened, errs := make([]io.Closer, len(cfgs)), make([]error, len(cfgs))
	for i, cfg := range cfgs {
		opened[i], errs[i] = open(ctx, cfg)
	}
	return opened, errs
}

// open opens a listener's socket: a net.Listener or a *udp.Socket.
func open(ctx context.Context, cfg ListenerConfig) (io.Closer, error) {
	if cfg.Protocol == UDP {
		s, err := udp.Open(cfg.Bind)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	network := "tcp4"
	if a := cfg.Bind.Addr(); a.Is6() && !a.Is4In6() {
		network = "tcp6"
	}
	lc := net.ListenConfig{
		KeepAlive: -1, // inherited from the listening socket
		Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			if err := c.Control(func(fd uintptr) { failed = prepare(int(fd), network, cfg) }); err != nil {
				return err
			}
			return failed
		},
	}
	return lc.Listen(ctx, network, cfg.Bind.String())
}

// prepare sets the options of a listening socket; accepted connections inherit all but the first two.
func prepare(fd int, network string, cfg ListenerConfig) error {
	type option struct {
		name              string
		level, opt, value int
	}
	options := []option{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"IP_FREEBIND", unix.SOL_IP, unix.IP_FREEBIND, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.SOL_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{"TCP_KEEPINTVL", unix.SOL_TCP, unix.TCP_KEEPINTVL, keepAliveEvery},
		{"TCP_KEEPCNT", unix.SOL_TCP, unix.TCP_KEEPCNT, keepAliveCount},
		{"TCP_USER_TIMEOUT", unix.SOL_TCP, unix.TCP_USER_TIMEOUT, stall(cfg)},
	}
	if network == "tcp6" {
		options[1] = option{"IPV6_FREEBIND", unix.SOL_IPV6, unix.IPV6_FREEBIND, 1}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}

// setStall gives a listening socket the time limits of a listener, for the connections to come.
func setStall(s io.Closer, cfg ListenerConfig) {
	l, ok := s.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_USER_TIMEOUT, stall(cfg))
	})
}

// fillDescriptors takes all descriptors below a high one, as far as the limit allows, and returns what gives
// them back. Others who open something meanwhile get a higher one, which does no harm.
func fillDescriptors() (release func()) {
	var taken []uint
	release = func() {
		for len(taken) > 0 {
			n := 1
			for n < len(taken) && taken[n] == taken[n-1]+1 {
				n++
			}
			closeRange(taken[0], taken[n-1])
			taken = taken[n:]
		}
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur <= 2*headroom {
		return release
	}
	top := int(min(limit.Cur-headroom, highest))
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return release
	}
	// The kernel's table grows by doubling, and waits some milliseconds each time; so it is made to grow at once.
	if fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, top); err == nil {
		_ = unix.Close(fd)
	}
	taken = append(make([]uint, 0, top), uint(null))
	for {
		fd, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(null), unix.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			return release
		}
		if int(fd) >= top {
			_ = unix.Close(int(fd))
			return release
		}
		taken = append(taken, uint(fd))
	}
}

// closeRange closes the descriptors from first to last.
func closeRange(first, last uint) {
	if unix.CloseRange(first, last, 0) == nil {
		return
	}
	for fd := first; fd <= last; fd++ { // before Linux 5.9
		_ = unix.Close(int(fd))
	}
}
