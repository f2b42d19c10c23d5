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
