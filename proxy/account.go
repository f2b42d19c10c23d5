package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// account is what the access log is told of a request, gathered while it is in hand. Without a log nothing is gathered.
type account struct {
	on      bool
	arrived time.Time
	at      time.Time // of the last lap
	queue   time.Duration
	connect time.Duration
	first   time.Duration // negative: no answer has begun
	tries   int
	backend *pool.Backend
	sent    uint64

	// Copies of what the client has sent, for the buffer that it came in is used again.
	method, target, host, trace, id []byte

	record accesslog.Record
}

// maxLogged bounds what is kept of a target or a host.
const maxLogged = 8 << 10

// start prepares for a request whose first byte is here.
func (a *account) start(on bool) {
	if a.on, a.sent = on, 0; !on {
		return
	}
	*a = account{method: a.method[:0], target: a.target[:0], host: a.host[:0], trace: a.trace[:0], id: a.id[:0], on: on, first: -1}
	a.arrived = time.Now()
}

// note copies what is told of a request's header.
func (a *account) note(r *http1.Request, now time.Time) {
	if !a.on {
		return
	}
	a.at = now
	a.method = append(a.method, r.Method...)
	a.target = append(a.target, r.Target[:min(len(r.Target), maxLogged)]...)
	a.host = append(a.host, r.Authority[:min(len(r.Authority), maxLogged)]...)
	if v := r.Find("traceparent"); len(v) <= 128 {
		a.trace = append(a.trace, v...)
	}
}

// lap returns the time since the last lap, or since the header was there.
func (a *account) lap() time.Duration {
	if !a.on {
		return 0
	}
	now := time.Now()
	d := now.Sub(a.at)
	a.at = now
	return d
}

// picked, connected and answering note how far the request has come.
func (a *account) picked(b *pool.Backend) {
	a.queue += a.lap()
	a.backend = b
	a.tries++
}

func (a *account) connected() { a.connect += a.lap() }

func (a *account) answering() { a.first = a.lap() }

// protocol is how the log calls a request's version.
func (c *client) protocol(minor int) string {
	switch {
	case c.streamed != nil:
		return "HTTP/2.0"
	case minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// tell writes a request to the access log.
func (c *client) tell(w *work, status int, reason string, b *backendConn) {
	a, l, now := &w.acc, c.listener, time.Now()
	r := &a.record
	*r = accesslog.Record{
		Time: a.arrived, Peer: c.peer, Client: w.client, Listener: l.cfg.Name,
		Method: text(a.method), Target: text(a.target), Protocol: c.protocol(w.minor), Host: text(a.host), ID: text(a.id), Trace: text(a.trace),
		Status: status, Receive: -1, Queue: -1, Connect: -1, FirstByte: a.first, Total: now.Sub(a.arrived),
		Sent: a.sent, Received: w.body.moved.Load(), Retries: max(0, a.tries-1),
		End: endOf(w, status, reason, b, c.over.Load()), Reason: reason,
		Active: int(l.proxy.active.Load()), Here: int(l.active.Load()),
	}
	r.TLS = c.sessionOfTLS()
	if !w.began.IsZero() {
		r.Receive = w.began.Sub(a.arrived)
	}
	if w.way != nil && !w.began.IsZero() {
		if w.way.route != nil {
			r.Route = w.way.route.Name
		}
		if w.way.pool != nil && r.End != endLocal {
			r.Pool = w.way.pool.Name()
		}
	}
	if a.backend != nil {
		r.Backend = a.backend.Name()
		r.Queue, r.Connect = a.queue, a.connect
	}
	l.tell(r)
}

// sessionOfTLS is the version and the cipher suite that the client is met with; empty without TLS.
func (c *client) sessionOfTLS() string {
	if c.session == "" && c.in.secure != nil {
		st := c.in.secure.ConnectionState()
		c.session = tls.VersionName(st.Version) + " " + tls.CipherSuiteName(st.CipherSuite)
	}
	return c.session
}

// How a request or a session has ended, in HAProxy's letters. The first says who ended it: C the client, S the backend, P this proxy, L a route
// that answers by itself, D this proxy because the backend went down, K an operator; in small letters by silence. The second says in what: R the request,
// Q the queue, C the connect, H the header of the answer, D the data.
const (
	endWell  = "--"
	endLocal = "LR"
)

func endOf(w *work, status int, reason string, b *backendConn, cut bool) string {
	switch {
	case b != nil && reason == "":
		return endWell
	case cut:
		return "KD"
	case status == 101:
		return endOfTunnel(reason)
	case status == statusGone && w.begun:
		return "CD"
	case status == statusGone && reason == pool.ErrGone.Error():
		return "CQ"
	case status == statusGone:
		return "CH"
	case b != nil && reason == errSilent.Error():
		return "sD"
	case b != nil && reason == errWentDown.Error():
		return "DD"
	case b != nil:
		return "SD"
	case reason == "":
		return endLocal
	}
	return endOfError(w, status, reason)
}

// endOfError is endOf for answers of our own.
func endOfError(w *work, status int, reason string) string {
	switch status {
	case 0:
		return "CR"
	case 408:
		if w.began.IsZero() {
			return "cR"
		}
		return "cD"
	case 502:
		return "SH"
	case 503:
		switch reason {
		case pool.ErrQueue.Error():
			return "SQ"
		case pool.ErrWaited.Error():
			return "sQ"
		case pool.ErrLimit.Error():
			return "PQ"
		}
		return "SC"
	case 504:
		return "sH"
	}
	return "PR"
}

func endOfTunnel(reason string) string {
	switch reason {
	case "client closed", "backend closed", "":
		return endWell
	case "idle":
		return "cD"
	case "client broke off":
		return "CD"
	case "backend broke off":
		return "SD"
	case errWentDown.Error():
		return "DD"
	case cutReason:
		return "KD"
	}
	return "SC"
}

// identify finds the request's id: what a trusted proxy calls it, or a new one.
func (c *client) identify(w *work) {
	name := c.listener.cfg.RequestID
	if name == "" {
		return
	}
	id := w.acc.id[:0]
	if c.trusted {
		if v := w.req.Find(strings.ToLower(name)); usableID(v) {
			w.acc.id = append(id, v...)
			return
		}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	w.acc.id = hex.AppendEncode(id, b[:])
}

// usableID reports whether v can name a request in headers and logs.
func usableID(v []byte) bool {
	for _, b := range v {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-_.:/+=@", b) >= 0:
		default:
			return false
		}
	}
	return len(v) > 0 && len(v) <= 128
}

// appendWithID is appendEdited for a request that has an id.
func (c *client) appendWithID(dst []byte, w *work, kinds http1.Kinds) []byte {
	name, e := c.listener.cfg.RequestID, w.way.request
	if name == "" {
		return appendEdited(dst, &w.req.Header, kinds, e)
	}
	dst = w.req.AppendFieldsExcept(dst, kinds, func(n []byte) bool { return strings.EqualFold(text(n), name) || e.Drops(n) })
	dst = append(append(dst, e.Lines()...), name...)
	dst = append(append(dst, ": "...), w.acc.id...)
	return append(dst, "\r\n"...)
}

// tell writes a TCP session to the access log; backend is nil if there was none.
func (t *tunnel) tell(began time.Time, backend *pool.Backend) {
	l := t.listener
	if !l.logs() {
		return
	}
	r := &accesslog.Record{
		Time: began, Peer: t.peer, Client: t.peer.Addr(), Listener: l.cfg.Name,
		Queue: t.queue, Connect: -1, FirstByte: -1, Total: time.Since(began),
		Sent: t.down.moved.Load(), Received: t.up.moved.Load(), Retries: max(0, t.tries-1),
		Reason: t.why(), Active: int(l.proxy.active.Load()), Here: int(l.active.Load()),
	}
	if t.to != nil {
		r.Pool = t.to.Name()
	}
	if backend != nil {
		r.Backend, r.Connect = backend.Name(), t.connecting
	}
	if r.End = endOfTunnel(r.Reason); r.End == "SC" && t.tries == 0 {
		r.End = "SQ" // nobody was there to connect to
	}
	if r.Reason == pool.ErrLimit.Error() {
		r.End = "PQ"
	}
	l.tell(r)
}
