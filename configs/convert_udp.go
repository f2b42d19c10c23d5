package configs

import (
	"time"

	"github.com/tandem-lb/tandem/proxy"
)

// datagrams reads the keys of a udp listener.
func (c *checker) datagrams(f *fileListener, l *proxy.ListenerConfig) {
	l.IdleTimeout = c.duration(f.IdleTimeout, span{min: time.Second, max: 24 * time.Hour, def: time.Minute})
	if f.Responses.set {
		l.Responses = c.number(f.Responses, 1000, 1)
	}
	if l.MaxConns == 0 {
		l.MaxConns = 10_000
	}
	for _, s := range []scalar{f.HalfCloseTimeout, f.TunnelTimeout, f.HeaderTimeout, f.BodyTimeout, f.ResponseTimeout, f.MaxHeader, f.MaxBody, f.LenientPaths, f.ProxyProtocol, f.MinRate} {
		c.notUDP(s.set, s.place)
	}
	c.notUDP(f.TrustedProxies.set, f.TrustedProxies.place)
	for _, b := range []*block{&f.TLS.block, &f.SNI.block, &f.Routes.block, &f.ErrorPages.block} {
		c.notUDP(b.set, b.place)
	}
	switch {
	case c.headed[l.Pool]:
		c.bad(f.Pool.place, "the pool %s has proxy_protocol, which a udp listener cannot send; give it a pool without", l.Pool)
	case c.guessed[l.Pool]:
		c.warn(f.Pool.place, "the backends of %s are probed by TCP connections, the default, and count as down if they listen for UDP only; write health: {type: tcp} if they do both, port: to probe another port, or type: none", l.Pool)
	}
}

func (c *checker) notUDP(set bool, at place) {
	if set {
		c.bad(at, "is not for protocol: udp, which has idle_timeout, responses, max_conns, deny and allow")
	}
}
