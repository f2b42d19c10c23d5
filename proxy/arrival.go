package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// headerPatience is how long a proxy in front may take to send its PROXY header, which it should send at once.
const headerPatience = 5 * time.Second

// arrival is a connection from a proxy that has yet to say for whom it is. Then it becomes the client's session.
type arrival struct {
	listener *listener
	conn     net.Conn
	peer     netip.AddrPort

	mu     sync.Mutex // guards what follows
	next   session    // what it has become
	isOver bool       // cut
}

// serve reads the header, and serves the client.
func (a *arrival) serve() {
	l := a.listener
	_ = a.conn.SetReadDeadline(time.Now().Add(headerPatience))
	h, err := proxyheader.Read(a.conn)
	if err != nil {
		if !errors.Is(err, io.EOF) { // a look at whether somebody listens
			if n, tell := l.headerless.now(); tell {
				l.log.Warn("connections from a trusted proxy refused", "addr", a.peer, "err", err, "times", n)
			}
		}
		resetConn(a.conn)
		a.over()
		return
	}
	_ = a.conn.SetReadDeadline(time.Time{})
	from, at := a.peer, localOf(a.conn)
	if h.From.IsValid() {
		from, at = h.From, h.To
	}
	if err := l.welcome(from.Addr()); err != nil {
		a.over()
		l.turnAway(a.conn, from, err)
		return
	}
	defer l.farewell(from.Addr())
	s, serve := l.session(a.conn, from, at)
	a.become(s)
	serve()
}

// over counts the connection as ended, before it was a client's.
func (a *arrival) over() {
	a.listener.open.Add(-1)
	a.listener.busy(-1)
}

func (a *arrival) become(s session) {
	a.mu.Lock()
	a.next = s
	over := a.isOver
	a.mu.Unlock()
	if over {
		s.cut()
	}
}

// now returns the client's session, nil before there is one.
func (a *arrival) now() session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next
}

// drain lets the header come, which is a matter of seconds.
func (a *arrival) drain() {
	if s := a.now(); s != nil {
		s.drain()
	}
}

func (a *arrival) cut() {
	a.mu.Lock()
	a.isOver = true
	s := a.next
	a.mu.Unlock()
	if s != nil {
		s.cut()
		return
	}
	resetConn(a.conn)
}
