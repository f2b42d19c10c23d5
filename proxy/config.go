package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// Protocol names what a listener speaks.
type Protocol string

// What a listener can speak.
const (
	TCP  Protocol = "tcp"
	HTTP Protocol = "http"
	UDP  Protocol = "udp"
)

// ListenerConfig describes one place where clients connect. A zero duration means its default; a
// negative one means none.
type ListenerConfig struct {
	Name     string
	Bind     netip.AddrPort
	Protocol Protocol
	Pool     string
	// IdleTimeout ends a TCP session in which no byte moved either way, at most a quarter late; default 1 h. Of an
	// http listener: how long a keep-alive connection may wait for its next request; default 60 s. Of a udp listener: how long a flow
	// may be silent; default 60 s.
	IdleTimeout time.Duration
	// Responses ends a UDP flow when each datagram of the client has had so many answers; zero: flows end by IdleTimeout only.
	Responses int
	// MaxConns bounds the connections; more are reset. Zero: as many as descriptors allow. Of a udp listener: the flows, of which the
	// longest silent one makes room for another; default 10,000.
	MaxConns int
	// MaxConnsPerClient bounds those of one client (limit.Config); zero: no bound. Proxies in TrustedProxies are not counted.
	MaxConnsPerClient int
	// RateLimit is how many requests (http), connections (tcp) or flows (udp) a client may begin a second, over time; zero: no bound. Beyond
	// it requests are answered with 429, connections are reset, and datagrams dropped.
	RateLimit int
	// RateBurst is how many it may begin at once after a pause; at least 1.
	RateBurst int
	// Deny and then Allow turn clients away: those in Deny, and, unless Allow is empty, those that are not in Allow. Their requests are
	// answered with 403 (http), their connections reset (tcp), their datagrams dropped (udp).
	Deny, Allow []netip.Prefix
	// MinRate is how many bytes a second of a request's body must come while nothing else is waited for, if its length was told: others
	// may be streams (http only); zero: 100; negative: no bound.
	MinRate int
	// TunnelTimeout is IdleTimeout for upgraded (websocket) connections of an http listener; default 1 h.
	TunnelTimeout time.Duration
	// HalfCloseTimeout bounds the silence of a TCP session of which one side has said that it sends no more; default 1 min.
	// Without it such sessions stay when the other side has vanished.
	HalfCloseTimeout time.Duration
	// HeaderTimeout is how long a client may take to send a whole request header (http only); default 5 s.
	HeaderTimeout time.Duration
	// BodyTimeout is how long a client or a backend may be silent within a body (http only); default 30 s.
	BodyTimeout time.Duration
	// ResponseTimeout is how long a backend may take to begin its answer (http only); default 30 s.
	ResponseTimeout time.Duration
	// MaxHeader bounds a request's or response's header in bytes (http only); default 32 KiB.
	MaxHeader int
	// TrustedProxies are the networks whose X-Forwarded-* and Forwarded are believed and extended (http only);
	// from anyone else they are dropped and set anew. With ProxyProtocol they are those that send PROXY headers.
	TrustedProxies []netip.Prefix
	// ProxyProtocol says that connections from TrustedProxies begin with a PROXY header, version 1 or 2, which tells where the
	// client is; without one they are closed. From anyone else no header is expected, or believed.
	ProxyProtocol bool
	// MaxBody bounds a request's body in bytes (http only); zero or negative: no bound.
	MaxBody int64
	// Routes are tried in their order (http only). A request for which none is goes to Pool, which may be empty only if there is a
	// route for every request.
	Routes []route.Config
	// ErrorPages take the place of the short texts that errors of our own have (http only).
	ErrorPages []ErrorPage
	// RequestID is the name of a field by which the backend is told an id of each request: what a trusted proxy has sent in it, or a new
	// one (http only). Empty: none.
	RequestID string
	// NoAccessLog keeps what happens here out of the access log.
	NoAccessLog bool
	// LenientPaths lets encoded slashes and empty segments in paths through (http with Routes only).
	LenientPaths bool
	// H2C takes clients that speak HTTP/2 without TLS, and know that we do (http without TLS only).
	H2C bool
	// TLS is what clients are met with; nil: plain.
	TLS *TLS
	// Passthrough reads the server's name out of what a TLS client sends first, chooses the pool by it (Names; Pool, which may be
	// empty, for all other clients) and passes everything on as it is (tcp only).
	Passthrough bool
	Names       []NamedPool
}

// ErrorPage is a file that is the body of answers of those statuses.
type ErrorPage struct {
	Statuses []int
	File     string
}

// Pools finds pools by name, nil if there is none.
type Pools interface{ Pool(name string) *pool.Pool }

// Config is the whole of the forwarding part.
type Config struct {
	Listeners []ListenerConfig
	// Key is the cluster's key, of which the keys of TLS session tickets are derived; nil: each node has its own.
	Key []byte
	// Drain bounds how long sessions may go on after a stop was asked for; zero: 30 s.
	Drain time.Duration
	// AccessLog is where requests and sessions are told; without a File they are not.
	AccessLog accesslog.Config
	// Listen opens a listener and Dial connects to a backend; nil: TCP of this host. For simulations.
	Listen func(ctx context.Context, bind netip.AddrPort) (net.Listener, error)
	Dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Defaults, by what they bound.
const (
	defaultIdle      = time.Hour
	defaultKeepAlive = time.Minute
	defaultFlow      = time.Minute
	defaultHalfClose = time.Minute
	defaultHeader    = 5 * time.Second
	defaultBody      = 30 * time.Second
	defaultResponse  = 30 * time.Second
	defaultDrain     = 30 * time.Second
	defaultMaxHeader = 32 << 10
	defaultMinRate   = 100
	defaultFlows     = 10_000
	// forever stands for "no bound": longer than any process runs.
	forever = 10 * 365 * 24 * time.Hour
)

// withDefaults returns l with every zero replaced by its default and every negative duration by forever.
func (l ListenerConfig) withDefaults() ListenerConfig {
	idle := defaultIdle
	switch l.Protocol {
	case HTTP:
		idle = defaultKeepAlive
	case UDP:
		idle = defaultFlow
		if l.MaxConns <= 0 {
			l.MaxConns = defaultFlows
		}
	case TCP:
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{
		{&l.IdleTimeout, idle},
		{&l.TunnelTimeout, defaultIdle},
		{&l.HalfCloseTimeout, defaultHalfClose},
		{&l.HeaderTimeout, defaultHeader},
		{&l.BodyTimeout, defaultBody},
		{&l.ResponseTimeout, defaultResponse},
	} {
		switch {
		case *d.value == 0:
			*d.value = d.zero
		case *d.value < 0:
			*d.value = forever
		}
	}
	if l.MaxBody == 0 {
		l.MaxBody = -1
	}
	if l.MinRate == 0 {
		l.MinRate = defaultMinRate
	}
	if l.MaxHeader <= 0 {
		l.MaxHeader = defaultMaxHeader
	}
	return l
}

// trusts reports whether the forwarding fields of a peer are believed.
func (l *ListenerConfig) trusts(peer netip.Addr) bool { return contain(l.TrustedProxies, peer) }

// admits reports whether a client may come in.
func (l *ListenerConfig) admits(client netip.Addr) bool {
	client = client.Unmap().WithZone("") // an address with a zone is in no network
	return !contain(l.Deny, client) && (len(l.Allow) == 0 || contain(l.Allow, client))
}

func contain(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
