package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A dead path ends the stream after 2 s of idleness and 3 unanswered keepalives, or when something sent is not acknowledged for userTimeout.
const (
	userTimeout = 4 * time.Second
	idleTime    = 2 * time.Second
	probeTime   = time.Second
	probes      = 3
)

func keepAliveConfig() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: idleTime, Interval: probeTime, Count: probes}
}

// listenTCP listens on an address, which need not be one of this host yet.
func listenTCP(ctx context.Context, bind netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAliveConfig(), Control: freebind}
	lc.SetMultipathTCP(false) // its end has a meaning of its own
	l, err := lc.Listen(ctx, "tcp", bind.String())
	if err != nil {
		return nil, err
	}
	return raisedListener{l}, nil
}

func freebind(network, _ string, c syscall.RawConn) error {
	var serr error
	err := c.Control(func(fd uintptr) {
		if network == "tcp6" {
			serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
			return
		}
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	})
	return errors.Join(err, serr)
}

// dialTCP dials from the way's own address, so that the VIP is never the source.
func dialTCP(ctx context.Context, w way) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAliveConfig()}
	if a := w.from.Addr(); !a.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	c, err := d.DialContext(ctx, "tcp", w.to.String())
	if err != nil {
		return nil, err
	}
	return raise(c)
}

type raisedListener struct{ net.Listener }

// Accept is in net.Listener.
func (l raisedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return raise(c)
}

// raise moves c to a high descriptor and sets its options; c is used no more.
func raise(c net.Conn) (net.Conn, error) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	rc, err := t.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	var high int
	var herr error
	err = rc.Control(func(fd uintptr) {
		// Without it, keepalive finds a dead path too, only later.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		high, herr = dupHigh(int(fd))
	})
	if err != nil || herr != nil {
		return nil, errors.Join(err, herr, c.Close())
	}
	h := &highConn{local: c.LocalAddr(), remote: c.RemoteAddr(), File: os.NewFile(uintptr(high), "stream")}
	if err := c.Close(); err != nil { // the copy keeps the connection open
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// highConn is a connection on a descriptor of our choice: net.FileConn would move it back to the lowest. The descriptor is non-blocking, so that
// os.File serves it by the runtime's poller, with deadlines.
type highConn struct {
	*os.File
	local, remote net.Addr
}

var _ net.Conn = (*highConn)(nil)

// LocalAddr is in net.Conn.
func (c *highConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is in net.Conn.
func (c *highConn) RemoteAddr() net.Addr { return c.remote }

// CloseWrite sends a FIN.
func (c *highConn) CloseWrite() error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := rc.Control(func(fd uintptr) { serr = unix.Shutdown(int(fd), unix.SHUT_WR) }); err != nil {
		return err
	}
	if serr != nil {
		return fmt.Errorf("shutdown: %w", serr)
	}
	return nil
}
