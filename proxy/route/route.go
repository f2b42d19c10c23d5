package route

import (
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
)

// Route is one compiled route.
type Route struct {
	Config
	index    int
	off      atomic.Bool
	hosts    hosts
	paths    []string // as requests' paths are compared
	prefixes []string
	regexps  []*regexp.Regexp
	headers  []headerMatch
	request  Editor
	response Editor
}

type headerMatch struct {
	name   string
	accept func(string) bool
}

// Index returns the route's place in its table, from zero.
func (r *Route) Index() int { return r.index }

// SetOff says whether the route is for no request at the moment, and reports whether that is news. It may be called from any
// goroutine.
func (r *Route) SetOff(off bool) bool { return r.off.Swap(off) != off }

// RequestEdit changes the header on its way to the backend; nil if there is nothing to change.
func (r *Route) RequestEdit() *Editor { return r.request.orNil() }

// ResponseEdit changes the header of the answer; nil if there is nothing to change.
func (r *Route) ResponseEdit() *Editor { return r.response.orNil() }

// Last reports whether the route is for every request, so that none after it is ever reached.
func (r *Route) Last() bool {
	c := &r.Config
	return c.While == "" && len(c.Hosts)+len(c.Paths)+len(c.Prefixes)+len(c.Regexps)+len(c.Methods)+len(c.Headers)+len(c.Clients) == 0 &&
		c.Scheme == "" && !r.schemeOnly()
}

// schemeOnly reports whether the route redirects to another scheme and to nothing else.
func (r *Route) schemeOnly() bool {
	return r.Redirect != nil && r.Redirect.Scheme != "" && *r.Redirect == (Redirect{Status: r.Redirect.Status, Scheme: r.Redirect.Scheme})
}

func (r *Route) matches(q *Request) bool {
	switch {
	case r.off.Load(),
		r.Scheme != "" && r.Scheme != q.Scheme,
		r.schemeOnly() && r.Redirect.Scheme == q.Scheme,
		len(r.Methods) > 0 && !has(r.Methods, q.Method),
		!r.matchesPath(q),
		!r.hosts.has(q.host),
		len(r.Clients) > 0 && !contains(r.Clients, q.Client):
		return false
	}
	for i := range r.headers {
		if h := &r.headers[i]; q.Fields == nil || !q.Fields.Any(h.name, h.accept) {
			return false
		}
	}
	return true
}

// matchesPath leaves in q what has matched.
func (r *Route) matchesPath(q *Request) bool {
	q.prefix, q.groups = "", nil
	if len(r.paths)+len(r.prefixes)+len(r.regexps) == 0 {
		return true
	}
	for _, p := range r.paths {
		if string(q.read) == p {
			return true
		}
	}
	for _, p := range r.prefixes {
		if below(q.read, p) && len(p) > len(q.prefix) {
			q.prefix = p
		}
	}
	if q.prefix != "" {
		return true
	}
	for _, re := range r.regexps {
		if !r.expands() {
			if re.Match(q.read) {
				return true
			}
			continue
		}
		if q.groups = re.FindSubmatchIndex(q.read); q.groups != nil {
			return true
		}
	}
	return false
}

// expands reports whether what the groups of an expression match is needed.
func (r *Route) expands() bool {
	return strings.Contains(r.Rewrite.Path, "$") || r.Redirect != nil && strings.Contains(r.Redirect.Path, "$")
}

// below reports whether path is prefix or lies below it.
func below(path []byte, prefix string) bool {
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return false
	}
	return len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/'
}

func has(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func (r *Route) allows(client netip.Addr) bool {
	return !contains(r.Deny, client) && (len(r.Allow) == 0 || contains(r.Allow, client))
}
