package mux

import (
	"bytes"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// asking is where in a request we are.
type asking uint8

const (
	inHeader asking = iota
	inLength
	inChunks
	afterEnd
)

// Write takes a part of the request. The error is ErrUnseen if the backend takes none on this connection. That the backend wants to see no
// more of it is an io.ErrClosedPipe.
func (s *Stream) Write(b []byte) (int, error) {
	c, n := s.conn, len(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	used, err := s.pass(b)
	if err != nil {
		if s.id == 0 {
			n = 0
		}
		return n, err
	}
	s.rest = append(s.rest[:0:0], b[used:]...)
	c.writeNow()
	return n, nil
}

// pass sends what it can of b, and returns how much of it it needs no more.
func (s *Stream) pass(b []byte) (used int, err error) {
	for {
		var n int
		switch s.asking {
		case inHeader:
			n, err = s.header(b[used:])
		case inLength:
			n = int(min(s.left, int64(len(b)-used)))
			if s.left -= int64(n); s.left == 0 {
				s.asking = afterEnd
			}
			err = s.data(b[used:used+n], s.left == 0)
		case inChunks:
			n, err = s.chunk(b[used:])
		case afterEnd:
			return len(b), nil // there is nothing behind a request
		}
		if used += n; err != nil || n == 0 {
			return used, err
		}
	}
}

func (s *Stream) header(b []byte) (int, error) {
	c := s.conn
	size, err := http1.HeaderEnd(b, 0)
	if err != nil || size == 0 {
		return 0, err
	}
	switch {
	case s.closed:
		return 0, net.ErrClosed
	case c.err != nil || !c.willing():
		return 0, errLeaving
	}
	r := &c.req
	if err := r.Parse(b[:size]); err != nil {
		return 0, err
	}
	s.head = r.IsHead()
	switch {
	case r.Chunked:
		s.asking = inChunks
	case r.Length > 0:
		s.asking, s.left = inLength, r.Length
	default:
		s.asking, s.said = afterEnd, true
	}
	s.encode(r)
	s.id, s.send = c.next, c.first
	c.next += 2
	c.streams[s.id] = s
	c.headersOut(s.id, s.said)
	if s.said {
		s.finished = true
	}
	return size, nil
}

// encode puts the fields of a request into c.block.
func (s *Stream) encode(r *http1.Request) {
	c := s.conn
	c.block.Reset()
	c.field(":method", string(r.Method), false)
	c.field(":scheme", c.cfg.Scheme, false)
	c.field(":authority", string(r.Authority), false)
	c.field(":path", string(r.Target), true)
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case http1.Connection, http1.TransferEncoding, http1.ContentLength, http1.Upgrade, http1.Host, http1.TE, http1.Hop:
			continue
		}
		if name := c.lower(r.Name(f)); !f.Hop {
			c.field(name, string(r.Value(f)), !shared(name))
		}
	}
	if r.Trailers {
		c.field("te", "trailers", false)
	}
	if r.Length >= 0 {
		c.length(r.Length)
	}
}

// shared reports whether requests have the same field again and again, and no secret in it.
func shared(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "x-request-id", "x-forwarded-for", "forwarded", "x-real-ip",
		"traceparent", "tracestate", "grpc-timeout", "date", "range", "if-none-match", "if-modified-since", "referer":
		return false
	}
	return true
}

func (s *Stream) chunk(b []byte) (int, error) {
	data, n, err := s.chunks.Next(b)
	if err != nil {
		return 0, err
	}
	if len(data) > 0 {
		if err := s.data(data, false); err != nil {
			return 0, err
		}
	}
	if !s.chunks.Done() {
		return n, nil
	}
	for line := range bytes.SplitSeq(s.chunks.AppendTrailer(nil), []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			s.trailers = append(s.trailers, hpack.HeaderField{Name: s.conn.lower(name), Value: string(bytes.TrimSpace(value)), Sensitive: true})
		}
	}
	s.asking, s.said = afterEnd, true
	if err := s.sendable(); err != nil {
		return 0, err
	}
	s.sendUnsent()
	return n, nil
}

// sendable is nil if the backend still wants to see the request.
func (s *Stream) sendable() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.forgotten || s.err != nil || s.unwanted:
		return io.ErrClosedPipe
	}
	return nil
}

// data sends a part of the body, and waits when there is too much for the backend's windows. end says that it is the last.
func (s *Stream) data(b []byte, end bool) error {
	c := s.conn
	var until time.Time
	for len(b) > 0 {
		if err := s.sendable(); err != nil {
			return err
		}
		n := 0
		if s.unsent.Len() == 0 {
			n = s.frameOut(b, end)
		}
		if n == 0 && s.unsent.Len() < maxUnsent {
			n = min(maxUnsent-s.unsent.Len(), len(b))
			s.unsent.Write(b[:n])
			s.said = end && n == len(b)
			s.queue()
		}
		if b = b[n:]; n > 0 {
			until = time.Time{}
			continue
		}
		c.writeNow()
		if s.unsent.Len() < maxUnsent {
			continue
		}
		now := time.Now()
		if until.IsZero() {
			until = now.Add(s.stall)
		} else if !now.Before(until) {
			return os.ErrDeadlineExceeded
		}
		s.wait(until)
	}
	return nil
}
