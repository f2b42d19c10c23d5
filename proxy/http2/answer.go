package http2

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// state is where in an answer we are.
type state uint8

const (
	inHeader state = iota
	inLength
	inChunks
	untilClose
	done
)

// answer takes an HTTP/1.1 answer apart as it is written.
type answer struct {
	state  state
	resp   http1.Response
	chunks http1.Chunks
	left   int64
	rest   []byte // of what was written and could not be used yet
}

// Write takes a part of the answer.
func (s *Stream) Write(b []byte) (int, error) {
	a, n := &s.answer, len(b)
	if len(a.rest) > 0 {
		a.rest = append(a.rest, b...)
		b = a.rest
	}
	used, err := s.pass(b)
	if err != nil {
		return 0, err
	}
	a.rest = append(a.rest[:0:0], b[used:]...)
	s.conn.mu.Lock()
	s.conn.wake.Signal()
	s.conn.mu.Unlock()
	return n, nil
}

// pass sends what it can of b, and returns how much of it it needs no more.
func (s *Stream) pass(b []byte) (used int, err error) {
	a := &s.answer
	for {
		var n int
		switch a.state {
		case inHeader:
			n, err = s.header(b[used:])
		case inLength:
			n = int(min(a.left, int64(len(b)-used)))
			a.left -= int64(n)
			if a.left == 0 {
				a.state = done
			}
			err = s.data(b[used:used+n], a.left == 0)
		case inChunks:
			n, err = s.chunk(b[used:])
		case untilClose:
			n = len(b) - used
			err = s.data(b[used:], false)
		case done:
			return len(b), nil // there is nothing behind an answer
		}
		if used += n; err != nil || n == 0 {
			return used, err
		}
	}
}

func (s *Stream) header(b []byte) (int, error) {
	a := &s.answer
	size, err := http1.HeaderEnd(b, 0)
	if err != nil || size == 0 {
		return 0, err
	}
	if err := a.resp.Parse(b[:size]); err != nil {
		return 0, err
	}
	r := &a.resp
	end := false
	switch {
	case r.Interim():
	case r.NoBody(s.head) || r.Length == 0 && !r.Chunked:
		a.state, end = done, true
	case r.Chunked:
		a.state = inChunks
	case r.Length > 0:
		a.state, a.left = inLength, r.Length
	default:
		a.state = untilClose
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone {
		return 0, net.ErrClosed
	}
	c.block.Reset()
	_ = c.enc.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(r.Status)})
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case http1.Connection, http1.TransferEncoding, http1.Upgrade, http1.Hop:
		default:
			if !f.Hop {
				c.field(r.Name(f), r.Value(f))
			}
		}
	}
	c.headersOut(s.id, end)
	return size, nil
}

// field encodes one field.
func (c *Conn) field(name, value []byte) {
	c.name = c.name[:0]
	for _, b := range name {
		c.name = append(c.name, lower(b))
	}
	_ = c.enc.WriteField(hpack.HeaderField{Name: c.text(c.name), Value: c.text(value)})
}

// text is string(b), of which one copy is kept: answers are much alike.
func (c *Conn) text(b []byte) string {
	const most, long = 64, 64
	if len(b) > long {
		return string(b)
	}
	if s, ok := c.texts[string(b)]; ok {
		return s
	}
	if len(c.texts) >= most {
		clear(c.texts)
	}
	s := string(b)
	c.texts[s] = s
	return s
}

// headersOut sends the fields in c.block.
func (c *Conn) headersOut(id uint32, end bool) {
	c.earn(worthy)
	first := true
	for b := c.block.Bytes(); len(b) > 0 || first; first = false {
		part := b[:min(len(b), c.frame)]
		b = b[len(part):]
		if first {
			_ = c.writer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: len(b) == 0})
		} else {
			_ = c.writer.WriteContinuation(id, len(b) == 0, part)
		}
	}
}

func (s *Stream) chunk(b []byte) (int, error) {
	a := &s.answer
	data, n, err := a.chunks.Next(b)
	if err != nil {
		return 0, err
	}
	if len(data) > 0 {
		if err := s.data(data, false); err != nil {
			return 0, err
		}
	}
	if !a.chunks.Done() {
		return n, nil
	}
	a.state = done
	trailer := a.chunks.AppendTrailer(nil)
	if len(trailer) == 0 {
		return n, s.data(nil, true)
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone {
		return 0, net.ErrClosed
	}
	c.block.Reset()
	for line := range bytes.SplitSeq(trailer, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			c.field(name, bytes.TrimSpace(value))
		}
	}
	c.headersOut(s.id, true)
	return n, nil
}

// leastMoved is how much of an answer a client must take within Config.Stall.
const leastMoved = 1 << 10

// data sends a part of the body, and waits while the client's windows are closed.
func (s *Stream) data(b []byte, end bool) error {
	if len(b) == 0 && !end {
		return nil
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	var until time.Time
	moved := 0
	for {
		if s.gone || c.broken {
			return net.ErrClosed
		}
		if len(b) == 0 || s.send > 0 && c.send > 0 && c.out.Len() < maxOut {
			n := int(min(int64(len(b)), int64(c.frame), max(s.send, 0), max(c.send, 0)))
			s.send -= int64(n)
			c.send -= int64(n)
			last := n == len(b)
			_ = c.writer.WriteData(s.id, end && last, b[:n])
			if b = b[n:]; last {
				c.earn(max(n, worthy))
				return nil
			}
			c.earn(n)
			// Who takes little of it at a time is as slow as who takes nothing.
			if moved += n; moved >= leastMoved {
				until, moved = time.Time{}, 0
			}
			continue
		}
		now := time.Now()
		if until.IsZero() {
			until = now.Add(c.cfg.Stall)
		} else if !now.Before(until) {
			return os.ErrDeadlineExceeded
		}
		c.wake.Signal()
		c.blocked++
		s.wait(until)
		c.blocked--
	}
}
