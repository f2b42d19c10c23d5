package proxy

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// flushAt is how much of an answer is gathered before it is written.
const flushAt = 12 << 10

// spliceBody is how long the rest of a body must be for the kernel to move it.
const spliceBody = 64 << 10

// framing is how the end of a body is told.
type framing uint8

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// relay passes the answer in w.resp on. It reports how that ended, and whether conn can be used again. The error is what
// the backend is to blame for.
func (c *client) relay(w *work, conn *backendConn) (v verdict, reusable bool, err error) {
	r := &w.resp
	from := framingOf(r, w.head)
	to := from
	if from == byChunks && w.minor == 0 {
		to = byClose
	}
	// An answer that comes while the request is still being sent ends it: what is left of it could not be told from the next.
	early := !c.bodySent(w)
	keep := w.keep && to != byClose && !early && !c.ending()
	w.out = appendResponse(w.out[:0], w, conn.upstream.backend, to, keep)
	w.begun = false
	if err := c.relayBody(w, conn, from, to); err != nil {
		return c.relayBroke(w, conn, to, err)
	}
	w.served = true
	c.log(w, r.Status, "", conn)
	reusable = r.Keep && from != byClose && len(conn.pending()) == 0 && c.bodySent(w)
	if keep {
		return answered, reusable, nil
	}
	c.stopPump(w, conn)
	if w.wantsMore || early || len(c.in.pending()) > 0 {
		c.linger()
	}
	return over, reusable, nil
}

// relayBroke ends an answer that could not be passed on whole.
func (c *client) relayBroke(w *work, conn *backendConn, to framing, err error) (verdict, bool, error) {
	switch {
	case errors.Is(err, errClientGone):
		c.log(w, statusGone, err.Error(), conn)
		return over, false, nil
	case !w.begun:
		return wrong, false, err
	case w.grpc && to == byChunks:
		w.out = appendGRPCTrailers(w.out, err)
		_ = c.flush(w) // nothing can be told any more to one who is gone
	case to == byClose:
		// The client would take what it has for the whole.
		c.in.reset()
	}
	c.log(w, w.resp.Status, err.Error(), conn)
	return over, false, err
}

// framingOf tells how an answer ends.
func framingOf(r *http1.Response, head bool) framing {
	switch {
	case r.NoBody(head):
		return noBody
	case r.Chunked:
		return byChunks
	case r.Length >= 0:
		return byLength
	}
	return byClose
}

// appendResponse appends the header that the client sees.
func appendResponse(dst []byte, w *work, from *pool.Backend, to framing, keep bool) []byte {
	r := &w.resp
	dst = appendStatus(dst, r)
	kinds := passedBack
	if to == byChunks {
		kinds |= http1.Set(http1.Trailer)
	}
	dst = appendEdited(dst, &r.Header, kinds, w.way.response)
	dst = appendCookie(dst, w, from)
	switch {
	case to == byChunks || to == noBody && r.Chunked && w.head && w.minor > 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0 && r.Status != 204 && r.Status >= 200:
		dst = appendLength(dst, r.Length)
	}
	return append(appendConnection(dst, w, keep), "\r\n"...)
}

// appendConnection tells the client whether its connection goes on, where that does not go without saying.
func appendConnection(dst []byte, w *work, keep bool) []byte {
	switch {
	case !keep:
		dst = append(dst, "Connection: close\r\n"...)
	case w.minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

// relayBody writes what is in w.out, and the body behind it.
func (c *client) relayBody(w *work, conn *backendConn, from, to framing) error {
	switch from {
	case byLength:
		return c.relayLength(w, conn, w.resp.Length)
	case byChunks:
		return c.relayChunks(w, conn, to)
	case byClose:
		return c.relayClose(w, conn)
	}
	return c.flush(w)
}

// flush writes what is in w.out.
func (c *client) flush(w *work) error {
	if len(w.out) == 0 {
		return nil
	}
	n, err := c.in.Write(w.out)
	w.acc.sent += uint64(n)
	w.out, w.begun = w.out[:0], true
	if err != nil {
		return errClientGone
	}
	return nil
}

// more waits for more of the body.
func (c *client) more(w *work, conn *backendConn) error {
	now := time.Now()
	err := c.glancing(w, conn, now, &now, w.patience())
	switch {
	case err == nil, errors.Is(err, errClientGone), errors.Is(err, io.EOF):
		return err
	case errors.Is(err, errTimeout):
		return errSilent
	}
	return detailed(err, errBroken)
}

var (
	errSilent = errors.New("backend fell silent within the answer")
	errBroken = errors.New("backend broke off within the answer")
)

func (c *client) relayLength(w *work, conn *backendConn, left int64) error {
	for {
		b := conn.pending()
		if int64(len(b)) > left {
			b = b[:left]
		}
		left -= int64(len(b))
		if err := c.writeBoth(w, b); err != nil {
			return err
		}
		conn.consume(len(b))
		if left == 0 {
			return nil
		}
		if left >= spliceBody && c.in.tcp != nil && conn.tcp != nil && c.listener.proxy.budget.Take(perPipe) == nil {
			n, err := c.splice(w, conn, left)
			c.listener.proxy.budget.Give(perPipe)
			if left -= n; err != nil || left == 0 {
				return err
			}
			continue
		}
		if err := c.more(w, conn); err != nil {
			return short(err)
		}
	}
}

// short is the error of a body that ends too soon.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return errBroken
	}
	return err
}

// writeBoth writes w.out and b, together if b is small.
func (c *client) writeBoth(w *work, b []byte) error {
	if len(w.out) > 0 && len(w.out)+len(b) <= bufferSize+flushAt {
		w.out = append(w.out, b...)
		return c.flush(w)
	}
	if err := c.flush(w); err != nil || len(b) == 0 {
		return err
	}
	n, err := c.in.Write(b)
	w.acc.sent += uint64(n)
	if err != nil {
		return errClientGone
	}
	return nil
}

// splice has the kernel move left bytes of a body, all of them unless the backend falls silent for a glance.
func (c *client) splice(w *work, conn *backendConn, left int64) (int64, error) {
	conn.release()
	quiet := time.Now()
	var total int64
	for total < left {
		conn.arm(time.Now(), glance)
		n, err := c.in.tcp.ReadFrom(&io.LimitedReader{R: conn.tcp, N: left - total})
		total += n
		w.acc.sent += uint64(n)
		switch {
		case err == nil && total < left:
			return total, errBroken
		case err == nil:
		case !errors.Is(readError(err), errTimeout):
			// One error for two sockets: it is the client's when the backend is still there, or when the client is gone, too.
			if conn.quiet() || conn.readable() || c.pumpEnded(w) && c.gone() {
				return total, errClientGone
			}
			return total, errBroken
		case n > 0:
			quiet = time.Now()
		case c.pumpEnded(w) && c.gone():
			return total, errClientGone
		case time.Since(quiet) > w.way.limits.body:
			return total, errSilent
		}
	}
	return total, nil
}

func (c *client) relayChunks(w *work, conn *backendConn, to framing) error {
	w.chunks = http1.Chunks{}
	for {
		data, n, err := w.chunks.Next(conn.pending())
		if err != nil {
			return errBroken
		}
		if to == byChunks {
			w.out = appendChunk(w.out, data)
		} else {
			w.out = append(w.out, data...)
		}
		if w.chunks.Done() {
			if to == byChunks {
				w.out = append(w.out, "0\r\n"...)
				w.out = w.chunks.AppendTrailer(w.out)
				w.out = append(w.out, "\r\n"...)
			}
			conn.consume(n)
			return c.flush(w)
		}
		conn.consume(n)
		wants := len(data) == 0
		if wants || len(w.out) >= flushAt {
			if err := c.flush(w); err != nil {
				return err
			}
		}
		if wants {
			if err := c.more(w, conn); err != nil {
				return short(err)
			}
		}
	}
}

// appendChunk appends data as one chunk, unless it is empty.
func appendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

func (c *client) relayClose(w *work, conn *backendConn) error {
	for {
		b := conn.pending()
		if err := c.writeBoth(w, b); err != nil {
			return err
		}
		conn.consume(len(b))
		switch err := c.more(w, conn); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
