package route

import (
	"net/netip"
	"strings"
)

// Fields looks the fields of a request up.
type Fields interface {
	// Any reports whether accept takes the value of a field of that name, which is in lower case.
	Any(name string, accept func(value string) bool) bool
}

// Request is what a decision is made from. One that is used again makes decisions without allocating; its strings need to be valid
// only until Find, Target and Location were called.
type Request struct {
	Method string
	Host   string     // of the Host field or :authority, with its port; empty if there is none
	Target string     // path and query as the client wrote them
	Scheme string     // "http" or "https"
	Client netip.Addr // who asks, not who forwards
	Fields Fields

	// What Find has found out.
	path, query string
	read        []byte // path as it is compared
	host        []byte
	prefix      string // of Prefixes, the one that has matched
	groups      []int  // of Regexps, what has matched
	lenient     bool
}

// Table is the routes of a listener.
type Table struct {
	routes  []*Route
	lenient bool
}

// Routes returns the routes in the order of the configuration.
// A nil table has none.
func (t *Table) Routes() []*Route {
	if t == nil {
		return nil
	}
	return t.routes
}

// Find returns the first route that is for r; nil if none is. A request whose path or host could be read in two ways is refused,
// as is a client that the route does not allow.
func (t *Table) Find(r *Request) (*Route, *Refusal) {
	if refused := t.prepare(r); refused != nil {
		return nil, refused
	}
	for _, route := range t.routes {
		if route.matches(r) {
			if !route.allows(r.Client) {
				return route, ErrDenied
			}
			return route, nil
		}
	}
	return nil, nil
}

// prepare brings path and host into the form in which they are compared.
func (t *Table) prepare(r *Request) (refused *Refusal) {
	r.lenient = t.lenient
	r.path, r.query = r.Target, ""
	if i := strings.IndexByte(r.Target, '?'); i >= 0 {
		r.path, r.query = r.Target[:i], r.Target[i:]
	}
	if r.host, refused = appendHost(r.host[:0], r.Host); refused != nil {
		return refused
	}
	switch {
	case r.path == "*" && r.query == "" && r.Method == "OPTIONS":
		r.read = append(r.read[:0], '*')
		return nil
	case easy(r.path):
		r.read = append(r.read[:0], r.path...)
		return nil
	}
	in := reader{lenient: t.lenient, out: r.read[:0]}
	_, refused = in.read(r.path, len(r.path)+1)
	r.read = in.out
	return refused
}
