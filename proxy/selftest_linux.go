package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// visits are the connections that this process makes to its own listeners to see whether they accept. They are no clients: no
// session is made of them, and nobody counts them.
type visits struct {
	pending atomic.Int32 // so that accepting a client costs no lock
	mu      sync.Mutex   // guards what follows
	from    map[netip.AddrPort]chan struct{}
}

// expect announces a visit from an own address. arrived is closed when the accept loop has met it; forget ends it.
func (v *visits) expect(from netip.AddrPort) (arrived <-chan struct{}, forget func()) {
	c := make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.from == nil {
		v.from = map[netip.AddrPort]chan struct{}{}
	}
	v.from[from] = c
	v.pending.Add(1)
	return c, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.from[from] == c {
			delete(v.from, from)
			v.pending.Add(-1)
		}
	}
}

// is reports whether an accepted connection is a visit, and ends it then.
func (v *visits) is(conn net.Conn, peer netip.AddrPort) bool {
	if v.pending.Load() == 0 {
		return false
	}
	v.mu.Lock()
	c := v.from[peer]
	if c != nil {
		delete(v.from, peer)
		v.pending.Add(-1)
	}
	v.mu.Unlock()
	if c == nil {
		return false
	}
	_ = conn.Close() // the visitor resets it, which leaves no TIME_WAIT
	close(c)
	return true
}

// Test connects to every open listener as a client would, and returns an error unless each accept loop takes the connection before ctx ends. Where a listener's
// address is not on this host now (here says so), only what all listeners need is tested: that this process can open and accept a connection at all.
// Listeners that are not open are told by Snapshot, and with a Listen of the caller's nothing is tested.
func (p *Proxy) Test(ctx context.Context, here func(netip.Addr) bool) error {
	if p.listen != nil {
		return nil
	}
	away := false
	for _, l := range p.listeners() {
		a := l.cfg.Bind.Addr()
		switch {
		case !l.snapshot().Open, l.relay != nil:
			continue
		case a.IsUnspecified() && a.Is4():
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		case a.IsUnspecified():
			a = netip.IPv6Loopback()
		case !here(a):
			away = true
			continue
		}
		if err := l.test(ctx, a); err != nil {
			return fmt.Errorf("%s: %w", l.cfg.Name, err)
		}
	}
	if away {
		return testSockets(ctx)
	}
	return nil
}

// test connects from an address to itself, which never leaves this host.
func (l *listener) test(ctx context.Context, a netip.Addr) error {
	var arrived <-chan struct{}
	forget := func() {}
	defer func() { forget() }()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			var from netip.AddrPort
			if from, failed = bindTo(int(fd), a); failed == nil {
				arrived, forget = l.visits.expect(from)
			}
		})
		return errors.Join(err, failed)
	}}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, l.cfg.Bind.Port()).String())
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return nil // it has just left this host
	case err != nil:
		return brief(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0)
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("connected, but not accepted: %w", ctx.Err())
	}
}

// bindTo binds a socket to an address and a port that the kernel chooses, so that both are known before the socket connects.
func bindTo(fd int, a netip.Addr) (netip.AddrPort, error) {
	var sa unix.Sockaddr
	if a.Is4() {
		sa = &unix.SockaddrInet4{Addr: a.As4()}
	} else {
		sa = &unix.SockaddrInet6{Addr: a.As16()}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return netip.AddrPort{}, err
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch got := got.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(a, uint16(got.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(a, uint16(got.Port)), nil
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}

// testSockets opens a listener, connects to it and accepts.
func testSockets(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open a socket: %w", brief(err))
	}
	defer l.Close()
	deadline, _ := ctx.Deadline()
	if err := l.(*net.TCPListener).SetDeadline(deadline); err != nil {
		return err
	}
	out, err := (&net.Dialer{}).DialContext(ctx, "tcp4", l.Addr().String())
	if err != nil {
		return fmt.Errorf("open a connection: %w", brief(err))
	}
	defer out.Close()
	_ = out.(*net.TCPConn).SetLinger(0)
	in, err := l.Accept()
	if err != nil {
		return fmt.Errorf("accept a connection: %w", brief(err))
	}
	return in.Close()
}

// brief leaves out of an error of package net the addresses, which differ each time.
func brief(err error) error {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return err
}
