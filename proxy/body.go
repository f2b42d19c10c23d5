package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// statusGone stands in logs for the answer that a client did not wait for; nginx has coined it.
const statusGone = 499

var errBodyLarge = &http1.Error{Status: 413, Reason: "body is larger than is allowed here"}

// start prepares for the body of w's request.
func (p *bodyPump) start(w *work) {
	p.most, p.patience = w.way.limits.maxBody, w.patience()
	p.pace = pace{rate: w.way.limits.rate}
	p.chunked, p.left, p.chunks = w.req.Chunked, w.req.Length, http1.Chunks{}
	p.kept, p.lost = p.kept[:0], false
	p.stop.Store(false)
	p.last.Store(false)
	p.failed.Store(false)
	p.complete, p.status, p.reason = false, 0, ""
}

// pump starts to carry the request's body to the backend. The connection's goroutine waits for the answer
// meanwhile, for it may come before the body has ended, and then ends it.
func (c *client) pump(w *work, conn *backendConn) {
	w.body.stop.Store(false)
	w.body.running = true
	go c.pumpBody(w, conn)
}

// pumpBody is the goroutine that carries a body. It has c.in's reading side to itself.
func (c *client) pumpBody(w *work, conn *backendConn) {
	p := &w.body
	err := c.carryBody(p, conn)
	blameClient := func(status int, reason string) {
		p.status, p.reason = status, reason
		p.failed.Store(true)
		_ = conn.SetReadDeadline(past()) // wakes who waits for the answer
	}
	refused, malformed := errors.AsType[*http1.Error](err)
	_, writing := errors.AsType[*writeError](err)
	switch {
	case err == nil:
		p.complete = true
	case p.stop.Load(), writing:
		// The backend wants no more of it. Its answer may already be on the way.
	case malformed:
		blameClient(refused.Status, refused.Reason)
	case errors.Is(err, errTimeout):
		blameClient(408, "body did not come in time")
	default:
		blameClient(statusGone, "client went away within the body")
	}
	p.done <- struct{}{}
}

func (c *client) carryBody(p *bodyPump, conn *backendConn) error {
	if p.chunked {
		return c.carryChunks(p, conn)
	}
	for {
		b := c.in.pending()
		if int64(len(b)) > p.left {
			b = b[:p.left]
		}
		p.last.Store(int64(len(b)) == p.left)
		if len(b) > 0 {
			c.in.consume(len(b)) // b stays until more is read
			p.moved.Add(uint64(len(b)))
			p.left -= int64(len(b))
			if err := p.send(conn, b); err != nil {
				return err
			}
		}
		if p.left == 0 {
			return nil
		}
		if err := c.moreBody(p); err != nil {
			return err
		}
	}
}

func (c *client) carryChunks(p *bodyPump, conn *backendConn) error {
	out := c.listener.proxy.buffers.get()[:0]
	defer func() { c.listener.proxy.buffers.put(out) }()
	for {
		data, n, err := p.chunks.Next(c.in.pending())
		if err != nil {
			return err
		}
		if p.most >= 0 {
			if p.most -= int64(len(data)); p.most < 0 {
				return errBodyLarge
			}
		}
		p.moved.Add(uint64(len(data)))
		out = appendChunk(out, data)
		if p.chunks.Done() {
			out = append(out, "0\r\n"...)
			out = p.chunks.AppendTrailer(out)
			out = append(out, "\r\n"...)
			p.last.Store(true)
		}
		c.in.consume(n)
		wants := len(data) == 0
		if (wants || len(out) >= flushAt || p.chunks.Done()) && len(out) > 0 {
			if err := p.send(conn, out); err != nil {
				return err
			}
			out = out[:0]
		}
		switch {
		case p.chunks.Done():
			return nil
		case wants:
			if err := c.moreBody(p); err != nil {
				return err
			}
		}
	}
}

// send writes a part of the body, and keeps it while all of it can be kept.
func (p *bodyPump) send(conn *backendConn, b []byte) error {
	if p.lost = p.lost || len(p.kept)+len(b) > bufferSize; !p.lost {
		p.kept = append(p.kept, b...)
	}
	if _, err := conn.Write(b); err != nil {
		return &writeError{err}
	}
	return nil
}

// again writes what another connection was sent of the body before.
func (p *bodyPump) again(conn *backendConn) error {
	if len(p.kept) == 0 {
		return nil
	}
	_, err := conn.Write(p.kept)
	return err
}

// moreBody waits for more of the body.
func (c *client) moreBody(p *bodyPump) error {
	for {
		now := time.Now()
		c.in.arm(now, p.patience)
		// The order matters: stopPump sets stop first and then wakes the reader.
		if p.stop.Load() {
			return errTimeout
		}
		had := len(c.in.pending())
		err := c.in.fill()
		switch {
		case errors.Is(err, errTimeout) && !p.stop.Load() && time.Now().Before(c.in.deadline):
			c.in.by(c.in.deadline) // woken by a drain that took us for idle
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err == nil && !p.chunked && p.pace.slow(time.Since(now), len(c.in.pending())-had):
			return errBodySlow
		default:
			return err
		}
	}
}

// pumpEnded reports whether nothing is being sent to the backend any more.
func (c *client) pumpEnded(w *work) bool {
	if !w.body.running {
		return true
	}
	select {
	case <-w.body.done:
		w.body.running = false
		return true
	default:
		return false
	}
}

// lastWrite bounds how long the writing of a body's last bytes may take after the answer has come.
const lastWrite = 50 * time.Millisecond

// bodySent reports whether the backend has been sent the whole request. The answer to the last byte often overtakes the
// goroutine that is sending it.
func (c *client) bodySent(w *work) bool {
	if !c.pumpEnded(w) && w.body.last.Load() {
		timer := time.NewTimer(lastWrite)
		select {
		case <-w.body.done:
			w.body.running = false
		case <-timer.C:
		}
		timer.Stop()
	}
	return !w.body.running && w.body.complete
}

// awaitPump waits for the goroutine that carries the body.
func (c *client) awaitPump(w *work) {
	if w.body.running {
		<-w.body.done
		w.body.running = false
	}
}

// stopPump ends the carrying of the body, if it still goes on; then neither connection can be used again.
func (c *client) stopPump(w *work, conn *backendConn) {
	if c.pumpEnded(w) {
		return
	}
	w.body.stop.Store(true)
	_ = c.in.SetReadDeadline(past())
	_ = conn.Close()
	c.awaitPump(w)
}
