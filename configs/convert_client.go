package configs

import "github.com/tandem-lb/tandem/proxy"

// trust reads who is believed what it says about where clients are.
func (c *checker) trust(f *fileListener, l *proxy.ListenerConfig) {
	l.TrustedProxies = c.networks(&f.TrustedProxies)
	l.ProxyProtocol = c.flag(f.ProxyProtocol)
	if l.ProxyProtocol && len(f.TrustedProxies.items) == 0 {
		c.bad(f.ProxyProtocol.place, "needs trusted_proxies, the networks of the proxies that send the header; it is believed from nobody else")
	}
}

// clientLimits reads who may come in, and what all clients, and each, may use.
func (c *checker) clientLimits(f *fileListener, l *proxy.ListenerConfig) {
	const most = 1_000_000
	l.Deny, l.Allow = c.clients(&f.Deny), c.clients(&f.Allow)
	l.MaxConns = c.number(f.MaxConns, most, 0)
	l.MaxConnsPerClient = c.number(f.MaxPerClient, most, 0)
	l.RateLimit = c.number(f.RateLimit, most, 0)
	l.RateBurst = c.number(f.RateBurst, most, l.RateLimit)
	if f.RateBurst.set && l.RateLimit == 0 {
		c.bad(f.RateBurst.place, "is for listeners with rate_limit; without it nobody is held back")
	}
}
