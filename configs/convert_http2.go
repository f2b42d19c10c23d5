package configs

import "github.com/tandem-lb/tandem/proxy"

// poolProtocol reads how requests go to the backends of a pool.
func (c *checker) poolProtocol(f *filePool, p *Pool) {
	p.HTTP2 = choice(c, f.Protocol, "http1", "http1", "http2") == "http2"
	c.muxed[p.Name] = p.HTTP2
	if p.HTTP2 && p.ProxyProtocol != "" {
		c.bad(f.ProxyProtocol.place, "does not go with protocol: http2, where requests of many clients share a connection; http listeners tell where a client is in X-Forwarded-For")
	}
}

// bytesOnly refuses a pool whose backends are asked by HTTP/2 behind a listener that knows nothing of requests.
func (c *checker) bytesOnly(p proxy.Protocol, pool scalar) {
	if p != "" && p != proxy.HTTP && pool.ok() && c.muxed[pool.text] {
		c.bad(pool.place, "the pool %s has protocol: http2, for requests of http listeners; a %s listener passes on what clients send, whatever it is: give it a pool without", pool.text, p)
	}
}
