package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/http2"
	"github.com/tandem-lb/tandem/proxy/sni"
)

// client is a connection of a client to an http listener. Its goroutine reads a request, has it answered
// and reads the next: what a client sends ahead waits its turn.
type client struct {
	listener *listener
	in       stream
	peer     netip.AddrPort
	local    netip.AddrPort // what the peer has connected to
	trusted  bool
	served   int    // requests answered
	last     bool   // no request after this one
	session  string // version and cipher suite of TLS, for the access log; empty before it was needed
	name     string // of the server that the client asked for by TLS
	https    bool
	// streamed is the stream of a connection that speaks HTTP/2 which this client is; nil: it is a connection.
	streamed *http2.Stream

	idle atomic.Bool // waiting for a request
	over atomic.Bool // cut
	// tunnel is what the connection has become by an upgrade.
	tunnel atomic.Pointer[tunnel]
	// backend is the connection that the current request uses, for cut.
	backend atomic.Pointer[backendConn]
	// h2 is what the connection has become if it speaks HTTP/2.
	h2 atomic.Pointer[http2.Conn]
}

func newClient(l *listener, conn net.Conn, peer netip.AddrPort) *client {
	c := &client{listener: l, peer: peer, trusted: l.cfg.trusts(peer.Addr())}
	c.in.init(conn, &l.proxy.buffers)
	c.https = c.in.secure != nil
	return c
}

// past is a deadline that wakes a reader at once.
func past() time.Time { return time.Unix(1, 0) }

// drain wakes the connection if it waits for a request.
func (c *client) drain() {
	if h2 := c.h2.Load(); h2 != nil {
		h2.Drain()
		return
	}
	if c.idle.Load() {
		_ = c.in.SetReadDeadline(past())
	}
}

// cut ends the connection, and what is asked of a backend for it.
func (c *client) cut() {
	c.over.Store(true)
	if t := c.tunnel.Load(); t != nil {
		t.cut()
		return
	}
	if h2 := c.h2.Load(); h2 != nil {
		h2.Cut(c.in.reset)
		return
	}
	c.in.reset()
	if b := c.backend.Load(); b != nil {
		b.reset()
	}
}

// serve answers requests until the connection ends.
func (c *client) serve() {
	l := c.listener
	defer l.open.Add(-1)
	defer c.in.drop()
	// The connection counts as busy until its first request is answered.
	for c.handshake() && c.await() {
		if c.beginsHTTP2() {
			c.serveHTTP2()
			return
		}
		if c.served > 0 {
			l.busy(1)
			c.adopt()
		}
		keep := c.request()
		l.busy(-1)
		c.served++
		c.in.release()
		if !keep {
			_ = c.in.Close()
			return
		}
	}
	if c.served == 0 {
		l.busy(-1)
	}
	_ = c.in.Close()
}

// await waits for the first byte of a request.
func (c *client) await() bool {
	if len(c.in.pending()) > 0 {
		return true
	}
	cfg := &c.listener.cfg
	if c.served == 0 {
		c.in.arm(time.Now(), cfg.HeaderTimeout)
		return c.in.fill() == nil
	}
	c.in.arm(time.Now(), cfg.IdleTimeout)
	// The order matters: whoever drains sets draining first and then looks at idle.
	c.idle.Store(true)
	if c.listener.draining() {
		_ = c.in.SetReadDeadline(past())
	}
	err := c.in.fill()
	c.idle.Store(false)
	if errors.Is(err, errTimeout) && c.in.readable() {
		// A request came in the very moment of being sent home. It is still served.
		c.in.by(time.Now().Add(cfg.HeaderTimeout))
		err = c.in.fill()
	}
	return err == nil
}

// request reads one request and has it answered. It reports whether the connection can go on.
func (c *client) request() bool {
	w := c.listener.proxy.borrow()
	defer c.listener.proxy.giveBack(w)
	w.begun, w.client = false, c.peer.Addr()
	w.body.moved.Store(0)
	w.acc.start(c.listener.logs())
	size, err := c.header()
	if c.streamed != nil && c.streamed.TooLarge() {
		err = http1.ErrTooLarge
	}
	if err == nil {
		err = w.req.Parse(c.in.pending()[:size])
	}
	if err == nil && c.name != "" && len(w.req.Authority) > 0 && !sni.IsHost(w.req.Authority, c.name) {
		c.refuse(w, 421, "the TLS connection was opened for another host")
		return false
	}
	if err == nil {
		return c.exchange(w, size)
	}
	refused, ok := errors.AsType[*http1.Error](err)
	switch {
	case ok:
		c.refuse(w, refused.Status, refused.Reason)
	case errors.Is(err, errTimeout):
		c.refuse(w, 408, "header did not come in time")
	default:
		c.log(w, 0, "client closed within a header", nil)
	}
	return false
}

// header waits for a whole header and returns its length. The error is an *http1.Error, errTimeout, or why the
// client is gone.
func (c *client) header() (int, error) {
	cfg := &c.listener.cfg
	var began time.Time
	scanned := 0
	for {
		b := c.in.pending()
		if scanned == 0 {
			// One empty line in front of a request is an old habit of clients (RFC 9112 2.2).
			if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' && began.IsZero() {
				c.in.consume(2)
				b = b[2:]
			}
			if len(b) > 0 && !http1.IsMethodStart(b[0]) {
				return 0, http1.ErrMethod
			}
		}
		size, err := http1.HeaderEnd(b, scanned)
		switch {
		case err != nil:
			return 0, err
		case size > cfg.MaxHeader || size == 0 && len(b) >= cfg.MaxHeader:
			if i := bytes.IndexByte(b, '\n'); i < 0 || i >= cfg.MaxHeader {
				return 0, http1.ErrTargetLong
			}
			return 0, http1.ErrTooLarge
		case size > 0:
			return size, nil
		}
		scanned = len(b)
		now := time.Now()
		if began.IsZero() {
			began = now
			c.in.by(began.Add(cfg.HeaderTimeout))
		}
		if len(b) == len(c.in.buf) {
			c.in.grow(cfg.MaxHeader)
		}
		err = c.in.fill()
		if errors.Is(err, errTimeout) && time.Now().Before(c.in.deadline) {
			c.in.by(c.in.deadline) // woken by a drain that took us for idle
			err = nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// refuse answers with an error page and ends the connection.
func (c *client) refuse(w *work, status int, reason string) {
	w.out = c.listener.appendPage(w.out[:0], status, reason, w.req.IsHead(), true)
	n, err := c.in.Write(w.out)
	w.acc.sent += uint64(n)
	c.log(w, status, reason, nil)
	if err == nil {
		c.linger()
	}
}

// answer sends an error page for a request whose body was read. It reports whether the connection can go on.
func (c *client) answer(w *work, status int, reason string) bool {
	keep := w.keep && w.minor > 0 && !c.ending()
	if w.grpc {
		w.out = appendGRPCAnswer(w.out[:0], w.grpcStatus(status), reason, !keep)
	} else {
		w.out = c.listener.appendPage(w.out[:0], status, reason, w.head, !keep)
	}
	return c.sendOwn(w, status, reason, keep)
}

// sendOwn sends an answer that no backend has given, and reports whether the connection can go on.
func (c *client) sendOwn(w *work, status int, reason string, keep bool) bool {
	n, err := c.in.Write(w.out)
	w.acc.sent += uint64(n)
	c.log(w, status, reason, nil)
	if err == nil && !keep {
		c.linger()
	}
	return err == nil && keep
}

const (
	// lingerTime and lingerBytes bound what is read from a client after the last answer. A close with unread
	// bytes would make the kernel send a reset, which can destroy the answer on its way.
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger says that nothing more comes, and waits for the client to have read it.
func (c *client) linger() {
	c.in.closeWrite()
	c.in.by(time.Now().Add(lingerTime))
	for n := 0; n < lingerBytes; {
		c.in.drop()
		if c.in.fill() != nil {
			break
		}
		n += len(c.in.pending())
	}
	c.in.drop()
}

// gone reports whether the client has closed its connection. A client that only says that it sends no more
// cannot be told from one that is gone.
func (c *client) gone() bool {
	if c.over.Load() {
		return true
	}
	switch {
	case len(c.in.pending()) > 0 || c.in.raw == nil:
		return false
	case c.in.secure != nil:
		return closed(c.in.raw)
	case c.in.quiet():
		return false
	}
	return c.in.err != nil || c.in.n == 0
}

// log tells how a request ended; status 0 means that there was none.
func (c *client) log(w *work, status int, reason string, b *backendConn) {
	if w.acc.on {
		c.tell(w, status, reason, b)
	}
	log := c.listener.log
	if !log.IsDebug() {
		return
	}
	backend := ""
	if b != nil {
		backend = b.upstream.backend.Name()
	}
	took := time.Duration(0)
	if !w.began.IsZero() {
		took = time.Since(w.began)
	}
	log.Debug("request ended", "addr", c.peer, "request", w.what, "status", status, "backend", backend,
		"reason", reason, "took", took)
}
