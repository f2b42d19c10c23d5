package proxy

import (
	"time"

	"github.com/tandem-lb/tandem/proxy/http2"
)

// maxStreams bounds the requests that a client of HTTP/2 makes at a time on one connection; browsers make 100 at most.
const maxStreams = 128

// protocols are those that TLS offers to clients of an http listener.
func protocols() []string { return []string{"h2", "http/1.1"} }

// beginsHTTP2 reports whether a client that has just connected speaks HTTP/2: by TLS it has said so, without it begins
// so, if the listener lets it. It waits for as much as it must see.
func (c *client) beginsHTTP2() bool {
	if c.served > 0 {
		return false
	}
	if c.in.secure != nil {
		return c.in.secure.ConnectionState().NegotiatedProtocol == "h2"
	}
	if !c.listener.cfg.H2C {
		return false
	}
	c.in.by(time.Now().Add(c.listener.cfg.HeaderTimeout))
	for {
		b := c.in.pending()
		n := min(len(b), len(http2.Preface))
		if string(b[:n]) != http2.Preface[:n] {
			return false
		}
		if n == len(http2.Preface) {
			return true
		}
		if c.in.fill() != nil {
			return false
		}
	}
}

// serveHTTP2 serves the connection of a client that speaks HTTP/2.
func (c *client) serveHTTP2() {
	l := c.listener
	l.busy(-1) // its requests count, not the connection
	_ = c.in.SetReadDeadline(time.Time{})
	if l.logs() {
		c.sessionOfTLS() // for the streams
	}
	conn := http2.New(c.in.Conn, c.in.pending(), &http2.Config{
		MaxHeader: l.cfg.MaxHeader, MaxStreams: maxStreams,
		Idle: l.cfg.IdleTimeout, Patience: l.cfg.HeaderTimeout, Stall: l.cfg.BodyTimeout,
		Open: c.open, Busy: l.busy,
		Abused: func(what string) {
			if n, tell := l.abuses.now(); tell {
				l.log.Warn("clients of HTTP/2 sent away", "addr", c.peer, "reason", what, "times", n)
			}
		},
		Ending: func() bool {
			_, last := l.next()
			return last || l.ending()
		},
	})
	c.in.drop()
	// The order matters: who drains or cuts says so first and then looks for the connection.
	c.h2.Store(conn)
	switch {
	case c.over.Load():
		c.in.reset()
	case l.draining():
		conn.Drain()
	}
	conn.Serve()
}

// open makes the client that one stream is.
func (c *client) open(s *http2.Stream) (serve, cut func()) {
	l, _ := c.listener.next()
	one := &client{
		listener: l, peer: c.peer, local: c.local, trusted: l.cfg.trusts(c.peer.Addr()),
		name: c.name, https: c.https, session: c.session, streamed: s,
	}
	one.in.init(s, &l.proxy.buffers)
	return one.serveStream, one.cancel
}

// serveStream has the request of a stream answered.
func (c *client) serveStream() {
	c.listener.busy(1)
	defer c.listener.busy(-1)
	if c.in.fill() == nil {
		c.request()
	}
	c.in.drop()
	_ = c.in.Close()
}

// cancel ends a stream that its client wants no more. The connection to the backend may just have gone on to somebody else, whom a
// reset would harm and being woken does not.
func (c *client) cancel() {
	c.over.Store(true)
	c.in.reset()
	if b := c.backend.Load(); b != nil {
		_ = b.SetReadDeadline(past())
	}
}
