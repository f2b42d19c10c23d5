package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// limits are what a route can bound otherwise than its listener.
type limits struct {
	response, body, tunnel time.Duration
	maxBody                int64 // negative: none
	rate                   int   // ListenerConfig.MinRate
}

func (l *ListenerConfig) limits() limits {
	return limits{response: l.ResponseTimeout, body: l.BodyTimeout, tunnel: l.TunnelTimeout, maxBody: l.MaxBody, rate: l.MinRate}
}

// of returns what r says, and l where it says nothing.
func (l limits) of(r *route.Route) limits {
	for _, d := range []struct {
		value *time.Duration
		set   time.Duration
	}{{&l.response, r.ResponseTimeout}, {&l.body, r.BodyTimeout}, {&l.tunnel, r.TunnelTimeout}} {
		switch {
		case d.set > 0:
			*d.value = d.set
		case d.set < 0:
			*d.value = forever
		}
	}
	if r.MaxBody != 0 {
		l.maxBody = r.MaxBody
	}
	return l
}

// way is what becomes of a request: by a route, or, with a nil route, by the listener alone.
type way struct {
	route    *route.Route
	pool     *pool.Pool // nil only where a route answers by itself
	limits   limits
	request  *route.Editor
	response *route.Editor
	page     page // of Respond
}

// newWays compiles the routes of a listener. The last way is that of a request for which no route is.
func newWays(cfg *ListenerConfig, pools Pools) (*route.Table, []way, error) {
	own := way{pool: pools.Pool(cfg.Pool), limits: cfg.limits()}
	var table *route.Table
	var ways []way
	var errs []error
	if len(cfg.Routes) > 0 {
		var err error
		if table, err = route.Compile(cfg.Routes, cfg.LenientPaths); err != nil {
			return nil, nil, err
		}
	}
	all := false // a route is for every request
	for _, r := range table.Routes() {
		w := way{route: r, pool: own.pool, limits: own.limits.of(r), request: r.RequestEdit(), response: r.ResponseEdit()}
		if r.Pool != "" {
			if w.pool = pools.Pool(r.Pool); w.pool == nil {
				errs = append(errs, fmt.Errorf("route %s: there is no pool %q", r.Name, r.Pool))
			}
		}
		all = all || r.Last()
		if w.pool == nil && r.Redirect == nil && r.Respond == nil && r.Pool == "" {
			errs = append(errs, fmt.Errorf("route %s: neither it nor its listener has a pool", r.Name))
		}
		ways = append(ways, w)
	}
	if own.pool == nil && (cfg.Pool != "" || !all && !cfg.Passthrough) {
		errs = append(errs, fmt.Errorf("there is no pool %q", cfg.Pool))
	}
	return table, append(ways, own), errors.Join(errs...)
}

// text returns b as a string that is valid as long as b is.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// way finds out what becomes of a request. It is all that a protocol engine needs to know of routes; r must be kept until what is
// made of it (target, location) has been appended.
func (l *listener) way(r *route.Request) (*way, *route.Refusal) {
	own := &l.ways[len(l.ways)-1]
	if l.table == nil {
		return own, nil
	}
	found, refused := l.table.Find(r)
	if found == nil {
		return own, refused
	}
	return &l.ways[found.Index()], refused
}

// routed finds the way of a request, and changes its target, unless it answers at once. It reports whether it has, and
// then whether the connection can go on.
func (c *client) routed(w *work) (done, keep bool) {
	r := &w.req
	if c.listener.table == nil {
		w.way, _ = c.listener.way(nil)
		return false, false
	}
	w.ask.Method, w.ask.Host, w.ask.Target = text(r.Method), text(r.Authority), text(r.Target)
	w.ask.Scheme, w.ask.Client, w.ask.Fields = c.scheme(r), w.client, r
	var refused *route.Refusal
	w.way, refused = c.listener.way(&w.ask)
	found := w.way.route
	switch {
	case refused != nil:
	case found == nil:
		return false, false
	case found.Redirect != nil:
		w.target, refused = found.AppendLocation(w.target[:0], &w.ask)
		if refused == nil {
			return true, c.redirect(w)
		}
	case found.Respond != nil:
		return true, c.respond(w)
	case found.Rewrites():
		w.target, refused = found.AppendTarget(w.target[:0], &w.ask)
		if refused == nil {
			r.Target = w.target
		}
	}
	if refused == nil {
		return false, false
	}
	return true, c.fail(w, refused.Status != 400 && !r.HasBody(), refused.Status, refused.Reason)
}

// scheme is by which scheme a request was made, as far as we can know.
func (c *client) scheme(r *http1.Request) string {
	if c.https {
		return "https"
	}
	if c.trusted {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.Kind == http1.ForwardedProto && string(r.Value(f)) == "https" {
				return "https"
			}
		}
	}
	return "http"
}

// redirect sends the client to w.target.
func (c *client) redirect(w *work) bool {
	status := w.way.route.Redirect.Status
	w.out = appendStatusLine(w.out[:0], status)
	w.out = append(w.out, "Location: "...)
	w.out = append(w.out, w.target...)
	w.out = append(w.out, "\r\nContent-Length: 0\r\n"...)
	return c.answerHeader(w, status, nil)
}

// respond answers with what a route says.
func (c *client) respond(w *work) bool {
	status, p := w.way.route.Respond.Status, &w.way.page
	w.out = appendStatusLine(w.out[:0], status)
	if status == 204 || status == 304 {
		return c.answerHeader(w, status, nil)
	}
	w.out = append(w.out, "Content-Type: "...)
	w.out = append(w.out, p.kind...)
	w.out = append(w.out, "\r\n"...)
	w.out = appendLength(w.out, int64(len(p.body)))
	return c.answerHeader(w, status, p.body)
}

// answerHeader ends the header in w.out and sends it with body, unless the request was HEAD. It reports whether the connection can
// go on, which it cannot with a body of the request unread.
func (c *client) answerHeader(w *work, status int, body []byte) bool {
	w.out = append(w.out, w.way.response.Lines()...)
	keep := w.keep && !w.req.HasBody() && !c.ending()
	w.out = appendConnection(w.out, w, keep)
	w.out = append(w.out, "\r\n"...)
	if !w.head {
		w.out = append(w.out, body...)
	}
	return c.sendOwn(w, status, "", keep)
}

// appendEdited appends fields as e says.
func appendEdited(dst []byte, h *http1.Header, kinds http1.Kinds, e *route.Editor) []byte {
	if e == nil {
		return h.AppendFields(dst, kinds)
	}
	dst = h.AppendFieldsExcept(dst, kinds, e.Drops)
	return append(dst, e.Lines()...)
}

// appendStatusLine appends the status line of an answer of our own.
func appendStatusLine(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(status)...)
	return append(dst, "\r\n"...)
}
