package mux

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// Stream is one request and its answer: the request is written to it as HTTP/1.1, and the answer read from it as HTTP/1.1. One goroutine may
// read while another writes; the rest may be called by any. What it does is guarded by conn.mu.
type Stream struct {
	conn    *Conn
	id      uint32 // zero until the backend was sent the header
	stall   time.Duration
	changed sync.Cond

	// The request.
	asking   asking
	head     bool
	left     int64 // of the body
	chunks   http1.Chunks
	rest     []byte       // of what was written and could not be used yet
	unsent   bytes.Buffer // of the body, for want of a window
	queued   bool         // in conn.waiting
	said     bool         // all of it is in unsent, or sent
	trailers []hpack.HeaderField
	finished bool // all of it was sent
	unwanted bool // the backend wants to see no more of it
	send     int64

	// The answer.
	front    []byte       // of HTTP/1.1: headers, ends of chunks, trailers
	body     bytes.Buffer // of the body, not read yet
	interims int
	final    bool  // its header has come
	length   int64 // of the body, that is still to come; -1: unknown
	chunked  bool
	closing  []byte // what is read behind the last byte of the body
	eof      bool   // it is here as a whole
	err      error  // why nothing more comes
	window   int64  // what we let the backend send ahead
	receive  int64  // what is left of it
	credit   int64  // what was read and not given back
	deadline time.Time

	forgotten bool // it has no place on the connection any more
	closed    bool // by Close
}

// Answered reports whether the connection has answered something before: then the backend may have closed it, unseen by us.
func (s *Stream) Answered() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.answered
}

// Conn returns the connection.
func (s *Stream) Conn() *Conn { return s.conn }

// Under returns the connection below HTTP/2, to look at; it is in use.
func (c *Conn) Under() net.Conn { return c.conn }

// roomForChunk is more than what is around the data of a chunk.
const roomForChunk = 32

// Read reads the answer. io.EOF follows it.
func (s *Stream) Read(b []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case len(b) == 0:
			return 0, nil
		case len(s.front) > 0:
			n := copy(b, s.front)
			s.front = s.front[n:]
			return n, nil
		case s.body.Len() > 0:
			if n := s.readBody(b); n > 0 {
				return n, nil
			}
		case len(s.closing) > 0:
			s.front, s.closing = s.closing, nil
		case s.eof:
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		default:
			s.wait(s.deadline)
		}
	}
}

// readBody reads what has come of the body, as one chunk if it comes in chunks.
func (s *Stream) readBody(b []byte) int {
	if !s.chunked {
		n, _ := s.body.Read(b)
		s.giveBack(int64(n))
		return n
	}
	n := min(s.body.Len(), max(len(b), 2*roomForChunk)-roomForChunk)
	chunk := append(strconv.AppendInt(b[:0], int64(n), 16), "\r\n"...)
	chunk = append(append(chunk, s.body.Next(n)...), "\r\n"...)
	s.giveBack(int64(n))
	if len(chunk) > len(b) { // it was made elsewhere, for there was no room
		s.front = chunk
		return 0
	}
	return len(chunk)
}

// giveBack returns n bytes of the window to the backend, many at a time. Who has read all that there was gets a larger one.
func (s *Stream) giveBack(n int64) {
	if s.credit += n; s.credit < s.window/2 || s.eof || s.forgotten {
		return
	}
	if s.body.Len() == 0 && s.window < largestWindow {
		s.credit += s.window
		s.window *= 2
	}
	s.receive += s.credit
	_ = s.conn.writer.WriteWindowUpdate(s.id, uint32(s.credit))
	s.credit = 0
	s.conn.writeSoon()
}

// fail ends the stream; what has come can still be read.
func (s *Stream) fail(err error) {
	if s.eof {
		s.unwanted = true
	} else if s.err == nil {
		s.err = err
	}
	s.conn.forget(s)
	s.changed.Broadcast()
}

// Close ends the stream. A backend that has not been told all, or has not told all, hears that no more is wanted.
func (s *Stream) Close() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if !s.forgotten {
		if s.id != 0 {
			_ = c.writer.WriteRSTStream(s.id, http2.ErrCodeCancel)
			c.writeSoon()
		}
		c.forget(s)
	}
	s.body, s.unsent, s.front, s.rest = bytes.Buffer{}, bytes.Buffer{}, nil, nil
	s.changed.Broadcast()
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

// SetDeadline is SetReadDeadline: how long writing may take is known since the stream was opened.
func (s *Stream) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (s *Stream) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is the connection's.
func (s *Stream) LocalAddr() net.Addr { return s.conn.conn.LocalAddr() }

// RemoteAddr is the connection's.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.conn.RemoteAddr() }

var _ net.Conn = (*Stream)(nil)
