package http2

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Stream is a stream of a client, from which the request is read as HTTP/1.1, and to which the answer is written as
// HTTP/1.1. One goroutine may read while another writes; the rest may be called by any.
type Stream struct {
	conn    *Conn
	id      uint32
	cut     func()
	changed *sync.Cond

	// Guarded by conn.mu.
	in       []byte // of the request, not read yet
	at       int    // what of in was read
	unread   int64  // bytes of the body in it
	credit   int64  // bytes to be given back to the client
	eof      bool   // the client sends no more
	send     int64  // windows
	receive  int64
	deadline time.Time
	gone     bool // nothing more can be said: reset, or the connection has ended
	closed   bool // by Close
	abort    bool // Close is a reset
	length   int64
	left     int64
	chunked  bool

	tooLarge bool // does not change
	head     bool
	answer   answer // for the goroutine that writes
}

// begin starts the goroutine of a stream, when it is called.
func (c *Conn) begin(s *Stream) func() {
	s.changed = sync.NewCond(&c.mu)
	c.streams[s.id] = s
	c.serving++
	if len(c.streams) == 1 {
		c.restIfIdle()
	}
	serve, cut := c.cfg.Open(s)
	s.cut = cut
	c.handlers.Add(1)
	return func() { go c.serve(s, serve) }
}

func (c *Conn) serve(s *Stream, serve func()) {
	defer c.handlers.Done()
	serve()
	_ = s.Close()
	c.mu.Lock()
	c.serving--
	c.mu.Unlock()
}

// drop forgets a stream that the client has reset, or that ends with the connection. What is returned is to be called without mu.
func (s *Stream) drop() func() {
	s.gone = true
	s.forget()
	s.changed.Broadcast()
	return s.cut
}

// forget takes the stream out of the connection.
func (s *Stream) forget() {
	c := s.conn
	if c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	c.giveBack(s.unread + s.credit)
	s.unread, s.credit = 0, 0
	if len(c.streams) == 0 {
		c.restIfIdle()
	}
	c.endIfOver()
}

// giveBack returns n bytes of the windows to the client, many at a time.
func (s *Stream) giveBack(n int64) {
	if s.credit += n; s.credit < streamWindow/4 && (s.eof || s.receive > streamWindow/4) {
		return
	}
	if !s.eof && s.credit > 0 {
		s.receive += s.credit
		_ = s.conn.writer.WriteWindowUpdate(s.id, uint32(s.credit))
		s.conn.wake.Signal()
	}
	s.conn.giveBack(s.credit)
	s.credit = 0
}

// TooLarge reports whether the header was beyond Config.MaxHeader; then what is read is not the request.
func (s *Stream) TooLarge() bool { return s.tooLarge }

// Read reads the request.
func (s *Stream) Read(b []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.gone || s.closed:
			return 0, net.ErrClosed
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case s.at < len(s.in):
			n := copy(b, s.in[s.at:])
			if s.at += n; s.at == len(s.in) {
				s.in, s.at = s.in[:0], 0
			}
			body := min(int64(n), s.unread)
			s.unread -= body
			if body > 0 {
				s.giveBack(body)
			}
			return n, nil
		case s.eof:
			return 0, io.EOF
		}
		s.wait(s.deadline)
	}
}

// wait waits for a change, until then at most, if that is not zero.
func (s *Stream) wait(until time.Time) {
	if until.IsZero() {
		s.changed.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(until), func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		s.changed.Broadcast()
	})
	s.changed.Wait()
	timer.Stop()
}

// Close ends the answer; if it is not whole, the client is told so.
func (s *Stream) Close() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.changed.Broadcast()
	if s.gone {
		return nil
	}
	s.gone = true
	switch {
	case s.answer.state == untilClose && !s.abort:
		_ = c.writer.WriteData(s.id, true, nil)
		if !s.eof {
			c.reset(s.id, http2.ErrCodeNo)
		}
	case s.answer.state != done:
		c.reset(s.id, http2.ErrCodeInternal)
	case !s.eof:
		c.reset(s.id, http2.ErrCodeNo) // no more of the request is wanted (RFC 9113, 8.1)
	}
	c.wake.Signal()
	s.forget()
	return nil
}

// SetLinger makes the next Close a reset, as it does on a TCP connection.
func (s *Stream) SetLinger(int) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.abort = true
	return nil
}

// SetReadDeadline makes reading time out.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.deadline = t
	s.changed.Broadcast()
	return nil
}

// SetDeadline is SetReadDeadline: how long writing may take is the connection's matter.
func (s *Stream) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (s *Stream) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is the connection's.
func (s *Stream) LocalAddr() net.Addr { return s.conn.conn.LocalAddr() }

// RemoteAddr is the connection's.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.conn.RemoteAddr() }

var _ net.Conn = (*Stream)(nil)
