package mux

import (
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// outbox is where the framer writes: what is to be written next.
type outbox Conn

func (o *outbox) Write(b []byte) (int, error) { return o.out.Write(b) }

// writeNow writes what is to be written, unless somebody else does so already.
func (c *Conn) writeNow() {
	if c.writing || c.out.Len() == 0 || c.err != nil {
		return
	}
	c.writing = true
	c.writeOnce()
	if c.writing = false; c.out.Len() > 0 {
		c.writeSoon()
	}
	c.endIfLeft()
}

// writeSoon has a goroutine write what is to be written. It never waits: for the one that reads, which would otherwise wait for a backend
// that waits for it.
func (c *Conn) writeSoon() {
	if c.writing || c.out.Len() == 0 || c.err != nil {
		return
	}
	c.writing = true
	c.tasks.Go(c.writeAll)
}

func (c *Conn) writeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.Len() > 0 && c.err == nil {
		c.writeOnce()
	}
	c.writing = false
	c.endIfLeft()
}

// writeOnce writes what many streams have to say in one go.
func (c *Conn) writeOnce() {
	c.out, c.spare = c.spare, c.out
	c.control = 0
	b := c.spare.Bytes()
	c.mu.Unlock()
	_, err := c.conn.Write(b)
	c.mu.Lock()
	c.spare.Reset()
	if err != nil {
		c.end(err)
		return
	}
	c.resume()
}

// resume sends what requests could not send yet.
func (c *Conn) resume() {
	waiting := c.waiting
	c.waiting = c.waiting[:0]
	for _, s := range waiting {
		s.queued = false
		s.sendUnsent()
	}
}

// headersOut sends the fields in c.block.
func (c *Conn) headersOut(id uint32, end bool) {
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

// field adds a field. One that is secret, or that hardly two requests share, stays out of the table that both sides keep.
func (c *Conn) field(name, value string, alone bool) {
	_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: alone})
}

// lower returns a field's name in lower case. Clients send the same ones again and again.
func (c *Conn) lower(name []byte) string {
	if s, ok := c.names[string(name)]; ok {
		return s
	}
	b := make([]byte, len(name))
	for i, x := range name {
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		b[i] = x
	}
	if len(c.names) < 256 && len(name) < 64 {
		c.names[string(name)] = string(b)
	}
	return string(b)
}

// length adds a body's length.
func (c *Conn) length(n int64) { c.field("content-length", strconv.FormatInt(n, 10), true) }

// frameOut sends as much of b as fits into one frame, the windows, and what may be on its way. end says that b ends the request.
func (s *Stream) frameOut(b []byte, end bool) int {
	c := s.conn
	if s.send <= 0 || c.send <= 0 || c.out.Len() >= maxOut {
		return 0
	}
	n := int(min(int64(len(b)), int64(c.frame), s.send, c.send))
	s.send -= int64(n)
	c.send -= int64(n)
	end = end && n == len(b)
	_ = c.writer.WriteData(s.id, end, b[:n])
	if end {
		s.finish()
	}
	return n
}

// sendUnsent sends what waits for a window, and the end behind it.
func (s *Stream) sendUnsent() {
	if s.forgotten || s.finished {
		return
	}
	sent := false
	for s.unsent.Len() > 0 {
		n := s.frameOut(s.unsent.Bytes(), s.said && s.trailers == nil)
		if n == 0 {
			s.queue()
			break
		}
		s.unsent.Next(n)
		sent = true
	}
	if sent {
		s.changed.Broadcast()
	}
	if s.unsent.Len() == 0 && s.said && !s.finished {
		s.sendEnd()
	}
}

// queue has what waits sent as soon as it can be.
func (s *Stream) queue() {
	if !s.queued {
		s.queued = true
		s.conn.waiting = append(s.conn.waiting, s)
	}
}

// sendEnd ends the request behind its last byte.
func (s *Stream) sendEnd() {
	c := s.conn
	if s.trailers == nil {
		_ = c.writer.WriteData(s.id, true, nil)
	} else {
		c.block.Reset()
		for _, f := range s.trailers {
			_ = c.enc.WriteField(f)
		}
		c.headersOut(s.id, true)
	}
	s.finish()
}

// finish notes that the backend has been sent all.
func (s *Stream) finish() {
	s.finished = true
	if s.eof {
		s.conn.forget(s)
	}
}

// wait waits for a change, until then at most, if that is not zero.
func (s *Stream) wait(until time.Time) {
	if until.IsZero() {
		s.changed.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(until), s.wake)
	s.changed.Wait()
	timer.Stop()
}

func (s *Stream) wake() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.changed.Broadcast()
}
