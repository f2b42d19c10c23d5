package proxy

import (
	"errors"
	"strconv"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/mux"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// exchange has one request answered by a backend. size is the length of the header at the beginning of what is
// pending. It reports whether the connection can go on.
func (c *client) exchange(w *work, size int) bool {
	r := &w.req
	w.began = time.Now()
	w.head, w.again, w.minor = r.IsHead(), r.Idempotent(), r.Minor
	w.wantsMore = r.Keep
	w.keep = r.Keep && !c.ending()
	if c.listener.log.IsDebug() {
		w.what = string(r.Method) + " " + string(r.Target)
	}
	w.acc.note(r, w.began)
	c.identify(w)
	c.in.consume(size) // what r points to stays until more is read
	w.client, w.grpc = c.origin(r), isGRPC(r)
	w.way = &c.listener.ways[len(c.listener.ways)-1]
	switch {
	case !c.listener.cfg.admits(w.client):
		return c.fail(w, !r.HasBody(), 403, errDenied.Error())
	case !c.listener.allows(w.client, w.began):
		return c.fail(w, !r.HasBody(), 429, "more requests than are allowed")
	}
	if done, keep := c.routed(w); done {
		return keep
	}
	if most := w.way.limits.maxBody; most >= 0 && r.Length > most {
		return c.fail(w, false, errBodyLarge.Status, errBodyLarge.Reason)
	}
	c.want(w)
	w.out = c.appendRequest(w.out[:0], w)
	kept := !r.HasBody()
	if here := c.in.pending(); !kept && !r.Chunked && r.Length <= min(bufferSize, int64(len(here))) {
		// A small body that is here already goes out together with the header, and again if need be.
		w.out = append(w.out, here[:r.Length]...)
		c.in.consume(int(r.Length))
		kept = true
	}
	w.body.start(w)
	if w.body.complete = kept; kept {
		w.body.moved.Store(uint64(max(r.Length, 0)))
	}
	keep := c.attempts(w, kept)
	w.settle()
	return keep
}

// verdict is how one attempt to have a request answered ended.
type verdict uint8

const (
	answered   verdict = iota // the client has its answer, and the connections go on
	over                      // the client has its answer, or is gone; its connection ends
	unsent                    // the backend has seen nothing of the request
	unanswered                // nothing of an answer was seen
	wrong                     // the answer cannot be understood
	late                      // no answer came in time
	clientSide                // the client is to blame; w.body says for what
	cancelled                 // the client is gone, without an answer
)

// attempts tries backends until one answers, or another attempt could do harm.
func (c *client) attempts(w *work, kept bool) bool {
	var tried [maxTries]*pool.Backend
	n, stale := 0, (*pool.Backend)(nil)
	tries := triesOf(w.way.pool)
	for {
		lease, err := c.listener.proxy.pick(w.way.pool, w.wants, c.gone, tried[:n])
		if err != nil {
			return c.unpicked(w, kept, n > 0, err)
		}
		b := lease.Backend()
		w.acc.picked(b)
		conn, err := c.connection(w, b, b == stale, n == tries-1 || !w.way.pool.Spare(n))
		w.acc.connected()
		if err != nil {
			lease.Done(unreached(err))
			if tried[n] = b; n == tries-1 || c.over.Load() {
				return c.fail(w, kept, 503, "no backend could be reached")
			}
			n++
			continue
		}
		asked := conn.asked
		v, err := c.attempt(w, conn, lease, kept) // conn may serve another client now
		idled := asked && wornOut(v, err)
		switch {
		case w.served:
			lease.Well()
		case idled:
			err = nil
		}
		lease.Done(blame(err))
		switch v {
		case answered:
			return true
		case over:
			return false
		case clientSide:
			if w.body.status != statusGone {
				return c.fail(w, false, w.body.status, w.body.reason)
			}
			fallthrough
		case cancelled:
			c.log(w, statusGone, errClientGone.Error(), conn)
			return false
		case late:
			return c.fail(w, kept, 504, "backend did not answer in time")
		case wrong:
			return c.fail(w, kept, 502, "backend answered what is not HTTP")
		}
		// A request is lost when it could do harm to send it again, or when it is not here any more.
		switch {
		case !kept && w.body.lost || w.begun || v != unsent && !w.again || c.over.Load():
			return c.lost(w, kept, err, "backend closed the connection")
		case idled && stale == nil:
			stale = b
		case n == tries-1:
			return c.lost(w, kept, err, "backends closed the connection")
		case !w.mayRepeat(v, w.way.pool):
			return c.fail(w, kept, 502, "backend closed the connection, and too many requests are being repeated already")
		default:
			tried[n] = b
			n++
		}
	}
}

// fail answers with an error page. When a body was not read, the connection cannot go on.
func (c *client) fail(w *work, bodyRead bool, status int, reason string) bool {
	w.keep = w.keep && bodyRead
	return c.answer(w, status, reason)
}

// connection returns a connection to b: one that has been used, if there is one and new is not asked for. last says that there
// is no other backend to turn to.
func (c *client) connection(w *work, b *pool.Backend, fresh, last bool) (*backendConn, error) {
	u := c.listener.proxy.upstream(w.way.pool, b)
	if !fresh && u.origin == proxyheader.None {
		if conn := u.get(); conn != nil {
			return conn, nil
		}
	}
	return u.fresh(w.way.limits.body, c.peer, c.local, last)
}

// attempt sends the request to one backend and passes the answer on. It takes conn over. The error is what the backend
// is to blame for.
func (c *client) attempt(w *work, conn *backendConn, lease pool.Lease, kept bool) (v verdict, err error) {
	c.backend.Store(conn)
	w.served = false
	reusable := false
	defer func() {
		c.backend.Store(nil)
		if reusable {
			conn.upstream.put(conn, w.began)
		} else {
			conn.close()
		}
	}()
	if n, err := conn.Write(w.out); err != nil && n == 0 {
		return unsent, err
	} else if err != nil && !isReset(err) {
		return unanswered, err
	}
	// After a reset there may still be an answer that came before it.
	if !kept {
		if err := w.body.again(conn); err != nil && !isReset(err) {
			return unanswered, err
		}
		if !w.body.complete {
			c.pump(w, conn)
			defer c.stopPump(w, conn)
		}
	}
	if v, err = c.final(w, conn); v != answered {
		if w.body.failed.Load() {
			c.awaitPump(w)
			return clientSide, nil
		}
		return v, err
	}
	lease.Answered()
	if w.resp.Status == 101 {
		lease.Well() // what follows may last for days
		w.settle()
		return c.upgrade(w, conn), nil
	}
	v, reusable, err = c.relay(w, conn)
	return v, err
}

// final reads answers until the last one; interim ones are passed on. The verdict is answered when w.resp is the
// header of the final one, which is then consumed.
func (c *client) final(w *work, conn *backendConn) (verdict, error) {
	const maxInterim = 16
	sent := time.Now()
	for range maxInterim {
		size, v, err := c.responseHeader(w, conn, sent)
		if v != answered {
			return v, err
		}
		if err := w.resp.Parse(conn.pending()[:size]); err != nil {
			return wrong, err
		}
		conn.consume(size)
		if !w.resp.Interim() {
			w.acc.answering()
		}
		switch {
		case !w.resp.Interim():
			if w.resp.Status == 101 && !(w.resp.Upgrade && w.req.WebSocket) {
				return wrong, http1.ErrStatusLine
			}
			return answered, nil
		case w.minor > 0:
			w.out = appendStatus(w.out[:0], &w.resp)
			w.out = w.resp.AppendFields(w.out, passedBack)
			w.out = append(w.out, "\r\n"...)
			if c.flush(w) != nil {
				return cancelled, nil //nolint:nilerr // the client is gone, which is not the backend's fault
			}
		}
	}
	return wrong, errors.New("too many interim answers")
}

// glance is how often a backend that is waited for makes us look after the client and the clock; at first every quarter of it,
// for that is when a backend that has vanished is found out.
const glance = time.Second

// responseHeader waits for the header of an answer.
func (c *client) responseHeader(w *work, conn *backendConn, sent time.Time) (int, verdict, error) {
	cfg := &c.listener.cfg
	scanned, since := 0, sent
	for {
		b := conn.pending()
		size, err := http1.HeaderEnd(b, scanned)
		switch {
		case err != nil:
			return 0, wrong, err
		case size > cfg.MaxHeader || size == 0 && len(b) >= cfg.MaxHeader:
			return 0, wrong, http1.ErrTooLarge
		case size > 0:
			return size, answered, nil
		}
		if scanned = len(b); scanned > 0 && scanned == len(conn.buf) {
			conn.grow(cfg.MaxHeader)
		}
		err = c.glancing(w, conn, sent, &since, w.way.limits.response)
		switch {
		case err == nil:
		case errors.Is(err, errClientGone):
			return 0, cancelled, nil
		case errors.Is(err, errTimeout):
			return 0, late, err
		case errors.Is(err, mux.ErrUnseen):
			return 0, unsent, err
		case errors.Is(err, mux.ErrMalformed):
			return 0, wrong, err
		case scanned > 0:
			return 0, wrong, err
		default:
			return 0, unanswered, err
		}
	}
}

var errClientGone = errors.New("client went away")

// glancing fills conn, and looks now and then whether the client is still there, and whether the backend has been silent
// for limit from since on. now is the time.
func (c *client) glancing(w *work, conn *backendConn, now time.Time, since *time.Time, limit time.Duration) error {
	began := now
	for {
		step := glance
		if now.Sub(began) < 2*glance {
			step /= 4
		}
		conn.arm(now, step)
		// The order matters: who carries the body sets failed first and then wakes the reader.
		if w.body.failed.Load() {
			return errClientGone
		}
		err := conn.fill()
		if !errors.Is(err, errTimeout) {
			if err != nil && conn.down.Load() {
				return errWentDown
			}
			return err
		}
		now = time.Now()
		switch {
		case w.body.failed.Load():
			return errClientGone
		case !c.pumpEnded(w):
			*since = now // the request's own timeouts watch over it
		case c.gone():
			return errClientGone
		case conn.deaf():
			return errDeaf
		case now.Sub(*since) >= limit:
			return errTimeout
		}
	}
}

// Fields that are passed on as they are; the others are made anew, or belong to one connection.
const (
	passedOn   = http1.Kinds(1<<http1.Other | 1<<http1.Host)
	passedBack = passedOn | 1<<http1.Expect | 1<<http1.Forwarded | 1<<http1.ForwardedFor | 1<<http1.ForwardedProto |
		1<<http1.ForwardedHost | 1<<http1.ForwardedMore | 1<<http1.Underscore
)

// appendRequest appends the header that the backend sees.
func (c *client) appendRequest(dst []byte, w *work) []byte {
	r, host := &w.req, ""
	if found := w.way.route; found != nil {
		host = found.Rewrite.Host
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	kinds := passedOn
	if r.Chunked {
		kinds |= http1.Set(http1.Trailer)
	}
	if host != "" {
		kinds &^= http1.Set(http1.Host)
		dst = append(dst, "Host: "...)
		dst = append(dst, host...)
		dst = append(dst, "\r\n"...)
	}
	dst = c.appendWithID(dst, w, kinds)
	if len(r.Authority) == 0 && host == "" {
		dst = append(dst, "Host: "...)
		dst = c.listener.cfg.Bind.AppendTo(dst)
		dst = append(dst, "\r\n"...)
	}
	dst = c.appendForwarded(dst, r)
	switch {
	case r.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0:
		dst = appendLength(dst, r.Length)
	}
	if r.Continue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	switch {
	case r.WebSocket:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case r.Trailers:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// appendStatus appends a status line.
func appendStatus(dst []byte, r *http1.Response) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	return append(dst, "\r\n"...)
}
