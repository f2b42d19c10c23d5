package proxy

import (
	"net/netip"
	"time"
)

// Protocol names what a listener speaks.
type Protocol string

const (
	TCP  Protocol = "tcp"
	HTTP Protocol = "http"
)

// ListenerConfig describes one place where clients connect. A zero duration means its default; a
// negative one means none.
type ListenerConfig struct {
	Name     string
	Bind     netip.AddrPort
	Protocol Protocol
	Pool     string
	// IdleTimeout ends a TCP session in which no byte moved either way, and an upgraded (websocket) one;
	// default 1h for tcp. Of an http listener: how long a keep-alive connection may wait for its next request; default 60 s.
	IdleTimeout time.Duration
	// HeaderTimeout is how long a client may take to send a whole request header (http only); default 5 s.
	HeaderTimeout time.Duration
	// BodyTimeout is how long a client or a backend may be silent within a body (http only); default 30 s.
	BodyTimeout time.Duration
	// ResponseTimeout is how long a backend may take to begin its answer (http only); default 30 s.
	ResponseTimeout time.Duration
	// MaxHeader bounds a request's or response's header in bytes (http only); default 32 KiB.
	MaxHeader int
	// TrustedProxies are the networks whose X-Forwarded-* and Forwarded are believed and extended (http only);
	// from anyone else they are dropped and set anew.
	TrustedProxies []netip.Prefix
}

// Config is the whole of the forwarding part.
type Config struct {
	Listeners []ListenerConfig
	// Drain bounds how long sessions may go on after a stop was asked for; zero: 30 s.
	Drain time.Duration
}
