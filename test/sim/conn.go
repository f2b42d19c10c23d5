package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// TCP as far as programs can tell: bytes in order, retransmitted while the path is cut, an end that is seen only where the path lets it through.
const (
	retransmit  = 200 * time.Millisecond // the first time-out; it doubles
	userTimeout = 4 * time.Second        // how long something may go unacknowledged
	keepAlive   = time.Second            // between looks at the path of an idle connection
	keepAlives  = 5                      // looks in a row that found none end it
	synRetry    = time.Second
)

// listener is a socket that accepts.
type listener struct {
	host  *host
	p     *process
	addr  netip.AddrPort
	conns chan net.Conn // the backlog
	done  chan struct{}
	once  sync.Once
}

var _ net.Listener = (*listener)(nil)

// listen opens a listener of a process.
func (h *host) listen(p *process, a netip.AddrPort) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.dead.Load() {
		return nil, errKilled
	}
	if h.listeners[a] != nil {
		return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	l := &listener{host: h, p: p, addr: a, conns: make(chan net.Conn, 128), done: make(chan struct{})}
	h.listeners[a] = l
	p.closers = append(p.closers, func() { _ = l.Close() })
	return l, nil
}

// Accept is in net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		l.p.await()
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close is in net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.host.mu.Lock()
		if l.host.listeners[l.addr] == l {
			delete(l.host.listeners, l.addr)
		}
		l.host.mu.Unlock()
		for {
			select {
			case c := <-l.conns:
				c.(*conn).reset() //nolint:errcheck,forcetypeassert // all are
				continue
			default:
			}
			break
		}
	})
	return nil
}

// Addr is in net.Listener.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// dial connects from a station to a listener at another one. passes is asked, besides the path, whether the destination takes the packets; nil: it does.
func (s *Segment) dial(ctx context.Context, p *process, from, to *station, local, remote netip.AddrPort, passes func() bool) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: err}
	}
	through := func() bool {
		return to != nil && to.host != nil && s.open(from, to) && (passes == nil || passes()) && s.carry(from, to, stream) != nil && s.carry(to, from, stream) != nil
	}
	for !through() {
		if !sleep(ctx, synRetry) {
			return fail(os.ErrDeadlineExceeded)
		}
	}
	if !sleep(ctx, 2*hop) {
		return fail(os.ErrDeadlineExceeded)
	}
	if p != nil && p.dead.Load() {
		return fail(errKilled)
	}
	l := to.host.listener(remote)
	if l == nil {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near := newConn(s, p, from, to, local, remote, passes)
	far := newConn(s, l.p, to, from, remote, local, passes)
	near.peer, far.peer = far, near
	if !l.p.own(far) {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if p != nil && !p.own(near) {
		return fail(errKilled)
	}
	select {
	case l.conns <- far:
	case <-l.done:
		far.reset()
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	default:
		far.reset()
		return fail(os.ErrDeadlineExceeded) // a full backlog
	}
	near.watch()
	return near, nil
}

// conn is one end of a connection.
type conn struct {
	seg           *Segment
	p             *process // whose end it is; nil: a client's
	here, there   *station
	local, remote netip.AddrPort
	passes        func() bool
	peer          *conn

	mu       sync.Mutex // guards what follows; never two of them at once
	in       []byte
	inErr    error // after in: io.EOF, or why it ended
	outErr   error // why nothing can be written
	wake     chan struct{}
	readBy   time.Time
	out      [][]byte // sent and not yet on its way; nil marks the end
	sending  bool
	since    time.Time // of the oldest in out that did not get through
	pause    time.Duration
	misses   int
	watchdog *time.Timer
}

var _ net.Conn = (*conn)(nil)

func newConn(s *Segment, p *process, here, there *station, local, remote netip.AddrPort, passes func() bool) *conn {
	return &conn{seg: s, p: p, here: here, there: there, local: local, remote: remote, passes: passes, wake: make(chan struct{})}
}

// signal wakes readers. mu is held.
func (c *conn) signal() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// Read is in net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		if c.p != nil {
			c.p.await()
		}
		c.mu.Lock()
		if len(c.in) > 0 {
			n := copy(b, c.in)
			c.in = c.in[n:]
			c.mu.Unlock()
			return n, nil
		}
		err, wake, left := c.inErr, c.wake, time.Until(c.readBy)
		timed := !c.readBy.IsZero()
		c.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case timed && left <= 0:
			return 0, os.ErrDeadlineExceeded
		}
		if !timed {
			<-wake
			continue
		}
		t := time.NewTimer(left)
		select {
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// Write is in net.Conn. It never blocks: the socket's buffer has room.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outErr != nil {
		return 0, c.outErr
	}
	c.push(append(make([]byte, 0, len(b)), b...))
	return len(b), nil
}

// push sends data, or, nil, the end. mu is held.
func (c *conn) push(data []byte) {
	c.out = append(c.out, data)
	if !c.sending {
		c.sending = true
		time.AfterFunc(0, c.flush)
	}
}

// flush gets on its way what waits, or tries again later.
func (c *conn) flush() {
	var paused time.Duration
	if c.p != nil && !c.p.dead.Load() {
		paused = c.p.left()
	}
	if paused > 0 {
		time.AfterFunc(paused, c.flush)
		return
	}
	there := []time.Duration(nil)
	if c.seg.open(c.here, c.there) && (c.passes == nil || c.passes()) {
		there = c.seg.carry(c.here, c.there, stream)
	}
	c.mu.Lock()
	if there == nil {
		now := time.Now()
		if c.since.IsZero() {
			c.since, c.pause = now, retransmit
		}
		lost := now.Sub(c.since) >= userTimeout
		if !lost {
			time.AfterFunc(c.pause, c.flush)
			c.pause *= 2
		}
		c.mu.Unlock()
		if lost {
			c.fail(os.NewSyscallError("read", syscall.ETIMEDOUT))
		}
		return
	}
	out := c.out
	c.out, c.sending, c.since = nil, false, time.Time{}
	c.mu.Unlock()
	time.AfterFunc(there[0], func() { c.peer.arrive(out) })
}

func (c *conn) arrive(data [][]byte) {
	if c.here.down() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inErr != nil {
		return
	}
	for _, d := range data {
		if d == nil {
			c.inErr = io.EOF
		}
		c.in = append(c.in, d...)
	}
	c.signal()
}

// fail ends this side for good.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inErr == nil || errors.Is(c.inErr, io.EOF) {
		c.inErr = err
	}
	if c.outErr == nil {
		c.outErr = err
	}
	c.out = nil
	if c.watchdog != nil {
		c.watchdog.Stop()
	}
	c.signal()
}

// reset ends this side, and, if the path lets it through, the other one with a reset.
func (c *conn) reset() {
	c.fail(net.ErrClosed)
	if there := c.seg.carry(c.here, c.there, stream); there != nil {
		time.AfterFunc(there[0], func() { c.peer.fail(os.NewSyscallError("read", syscall.ECONNRESET)) })
	}
}

// CloseWrite sends the end.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outErr != nil {
		return c.outErr
	}
	c.outErr = net.ErrClosed
	c.push(nil)
	return nil
}

// SetLinger makes the next Close a reset, like the real one with 0.
func (c *conn) SetLinger(int) error {
	c.reset()
	return nil
}

// Close is in net.Conn. What was written still goes out.
func (c *conn) Close() error {
	_ = c.CloseWrite() // closed already
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inErr == nil || errors.Is(c.inErr, io.EOF) {
		c.inErr = net.ErrClosed
	}
	c.in = nil
	if c.watchdog != nil {
		c.watchdog.Stop()
	}
	c.signal()
	return nil
}

// watch is the keepalive of both ends.
func (c *conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchdog = time.AfterFunc(keepAlive, func() {
		c.mu.Lock()
		closed := c.inErr != nil && c.outErr != nil
		c.misses++
		if !closed && c.seg.open(c.here, c.there) && !c.gone() {
			c.misses = 0
		}
		lost := c.misses >= keepAlives
		if !closed && !lost {
			c.watchdog.Reset(keepAlive)
		}
		c.mu.Unlock()
		if lost {
			for _, e := range []*conn{c, c.peer} {
				e.fail(os.NewSyscallError("read", syscall.ETIMEDOUT))
			}
		}
	})
}

// gone says whether an end's host has lost its memory.
func (c *conn) gone() bool { return c.here.down() || c.there.down() }

// SetDeadline is in net.Conn; writes have none, for they never wait.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline is in net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	c.signal()
	return nil
}

// SetWriteDeadline is in net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is in net.Conn.
func (c *conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is in net.Conn.
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
