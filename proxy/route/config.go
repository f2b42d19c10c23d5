package route

import (
	"net/netip"
	"time"
)

// Config describes one route: which requests it is for, and what becomes of them. Every kind of condition that is given must
// hold; of the values of one kind, one must. Paths, Prefixes and Regexps are one kind.
type Config struct {
	Name string

	Hosts    []string // names without port, or "*.example.org" for all names below example.org
	Paths    []string // whole paths, without query, encoded as in URLs
	Prefixes []string // "/api" is for /api and for all that begins with /api/
	Regexps  []string // of whole paths; they are as those of package regexp, and unanchored as written
	Methods  []string
	Headers  []HeaderMatch
	Scheme   string         // "http" or "https"; empty: both
	Clients  []netip.Prefix // networks of clients; empty: all
	While    string         // a file: only while it is there; see Route.SetOff

	// Deny and then Allow answer 403 to clients that the route is for: to those in Deny, and, unless Allow is empty, to those that
	// are not in Allow.
	Deny, Allow []netip.Prefix

	// At most one of the three; without any of them the request goes to the listener's pool.
	Pool     string
	Redirect *Redirect
	Respond  *Respond

	Rewrite  Rewrite
	Request  Edit // of the request's header on its way to the backend
	Response Edit // of the header of the answer

	// A zero means that of the listener; a negative one, none.
	MaxBody         int64
	ResponseTimeout time.Duration
	BodyTimeout     time.Duration
	TunnelTimeout   time.Duration
}

// HeaderMatch holds when one of the fields of that name has the value, or matches the expression; with neither, when there is such a
// field.
type HeaderMatch struct {
	Name          string
	Value, Regexp string
}

// Redirect sends the client elsewhere. What is empty stays as it was asked for; with another scheme the port is dropped. A route
// that redirects to a scheme and nothing else is not for requests that have come by it: they go on to the next route.
type Redirect struct {
	Status       int    // 301, 302, 307, 308; 0 means 308
	Scheme, Host string // Host may have a port
	Path, Prefix string // as in Rewrite
}

// Respond answers without a backend.
type Respond struct {
	Status      int // 200..599
	Body        []byte
	File        string // whose content is the body, if it can be read; for whoever answers
	ContentType string // empty: text/plain
}

// Rewrite changes the request's target and host. The query stays.
type Rewrite struct {
	Host string
	// Path takes the place of the path; $1 stands for what the first group of a Regexps entry has matched.
	Path string
	// Prefix takes the place of the prefix that has matched.
	Prefix string
}

// Edit changes a header: fields named by Remove and Set go, those of Set and Add are appended.
type Edit struct {
	Set, Add []Field
	Remove   []string
}

// Field is one line of a header.
type Field struct{ Name, Value string }
