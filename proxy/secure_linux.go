package proxy

import (
	"crypto/tls"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// secureConn is a TLS connection, to a client or to a backend.
type secureConn struct {
	*tls.Conn
	under *edge
}

// edge is the connection below TLS. While it is shut nothing is read from it, so that a read above gives what is there
// already; TLS takes that for a timeout, after which it can go on. It is for the goroutine that reads.
type edge struct {
	net.Conn
	shut bool
}

func (e *edge) Read(b []byte) (int, error) {
	if e.shut {
		return 0, os.ErrDeadlineExceeded
	}
	return e.Conn.Read(b)
}

// serverConn is the side of TLS that clients connect to; clientConn is the one that connects to a backend. The handshake is still to come.
func serverConn(c net.Conn, cfg *tls.Config) *secureConn {
	e := &edge{Conn: c}
	return &secureConn{tls.Server(e, cfg), e}
}

func clientConn(c net.Conn, cfg *tls.Config) *secureConn {
	e := &edge{Conn: c}
	return &secureConn{tls.Client(e, cfg), e}
}

// shake makes the handshake, which may take until then.
func (c *secureConn) shake(until time.Time) error {
	_ = c.SetDeadline(until)
	if err := c.Handshake(); err != nil { //nolint:noctx // its limit is the deadline, and whoever cuts closes the connection
		return err
	}
	return c.SetDeadline(time.Time{})
}

// Reset closes the connection so that the other side sees a reset. It does not wait, as Close may for its last word.
func (c *secureConn) Reset() { resetConn(c.under.Conn) }

// CloseWrite says that nothing more comes, by TLS and by TCP.
func (c *secureConn) CloseWrite() error {
	err := c.Conn.CloseWrite()
	if t, ok := c.under.Conn.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
	return err
}

// readNow reads what has been received, without waiting.
func (c *secureConn) readNow(b []byte) (int, error) {
	c.under.shut = true
	n, err := c.Read(b)
	c.under.shut = false
	return n, err
}

// closed reports whether the other side has closed its TCP connection. A look at what can be read would not tell: it is an alert, or
// a request.
func closed(raw syscall.RawConn) bool {
	open := true
	err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		open = err == nil && info.State == unix.BPF_TCP_ESTABLISHED
	})
	return err != nil || !open
}

// plain is the connection below TLS, or c itself.
func plain(c net.Conn) net.Conn {
	if s, ok := c.(*secureConn); ok {
		return s.under.Conn
	}
	return c
}
