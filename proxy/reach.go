package proxy

import (
	"maps"
	"reflect"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// upstream returns what is kept for a backend of a pool, and makes it if need be.
func (p *Proxy) upstream(backends *pool.Pool, b *pool.Backend) *upstream {
	if u := (*p.upstreams.Load())[b]; u != nil {
		return u
	}
	p.reaching.Lock()
	defer p.reaching.Unlock()
	now := *p.upstreams.Load()
	if u := now[b]; u != nil { // somebody else was quicker
		return u
	}
	u := newUpstream(p, backends, b, p.dialTo)
	u.tls = p.secured(backends)
	if backends.HTTP2() {
		u.mux = u.newMux()
	}
	next := maps.Clone(now)
	next[b] = u
	p.upstreams.Store(&next)
	return u
}

// secured is the TLS towards a pool; nil: there is none. The caller holds reaching.
func (p *Proxy) secured(backends *pool.Pool) *outward {
	cfg := backends.TLS()
	if cfg == nil {
		return nil
	}
	o := p.outward[backends.Name()]
	if o == nil || !o.is(cfg, protocolOf(backends.HTTP2())) {
		o = newOutward(*cfg, protocolOf(backends.HTTP2()), p.log.With("pool", backends.Name()))
		p.outward[backends.Name()] = o
	}
	return o
}

// is reports whether o does what cfg says.
func (o *outward) is(cfg *pool.TLS, protocols []string) bool {
	return reflect.DeepEqual(o.cfg, *cfg) && reflect.DeepEqual(o.alpn, protocols)
}

func (p *Proxy) outwards() []*outward {
	p.reaching.Lock()
	defer p.reaching.Unlock()
	var out []*outward
	for _, o := range p.outward {
		out = append(out, o)
	}
	return out
}

// current reports whether u is how a backend of the pool is reached by now. The caller holds reaching.
func (u *upstream) current(p *Proxy, backends *pool.Pool) bool {
	return u.origin == backends.ProxyProtocol() && u.limit == backends.ConnectTimeout() && u.tls == p.secured(backends) &&
		(u.mux != nil) == backends.HTTP2()
}

// renew parts with what is kept for backends that have gone, or are reached otherwise by now.
func (p *Proxy) renew(front []*listener) {
	p.reaching.Lock()
	defer p.reaching.Unlock()
	in := backendsOf(front)
	for b := range p.backends {
		if in[b] == nil {
			p.partings.backend(b, p.patience())
		}
	}
	p.backends = in
	next := map[*pool.Backend]*upstream{}
	for b, u := range *p.upstreams.Load() {
		if in[b] != nil && u.current(p, in[b]) {
			next[b] = u
			continue
		}
		p.partings.upstream(u)
	}
	p.upstreams.Store(&next)
}

// backendsOf are all that can be reached by listeners, with their pools.
func backendsOf(front []*listener) map[*pool.Backend]*pool.Pool {
	in := map[*pool.Backend]*pool.Pool{}
	for _, l := range front {
		for _, backends := range l.pools() {
			for _, b := range backends.Backends() {
				in[b] = backends
			}
		}
	}
	return in
}

// close ends all connections that nobody uses, and all that are shared.
func (u *upstream) close() {
	u.tidy(time.Time{})
	if u.mux != nil {
		u.mux.Close()
	}
}
