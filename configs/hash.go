package configs

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// Hash is the same on two nodes if what must be equal on both is: the cluster's name, failover, the virtual addresses and
// their lease, listeners and pools. What differs by nature (names, own addresses, priority, paths, interface) does not
// count, nor does the order in which things are listed.
//
// The hash is sent to the other nodes, which may run another version. So a key that is added later is written only when it
// differs from its default.
func Hash(c *Config) uint64 {
	h := fnv.New64a()
	write := func(format string, args ...any) { _, _ = fmt.Fprintf(h, format+"\n", args...) }
	write("tandem config 1")
	write("cluster %s %d", c.Cluster.Name, c.Cluster.Failover)
	if c.Cluster.Quorum {
		write("quorum")
	}
	write("lease %d", c.VIP.Lease)
	if n := len(c.Cluster.Paths); n > 0 {
		write("paths %d", n)
	}
	if c.Cluster.NoMirrors {
		write("mirrors off")
	}
	vips := make(map[netip.Addr]bool)
	for _, p := range slices.SortedFunc(slices.Values(c.VIP.All()), comparePrefix) {
		vips[p.Addr()] = true
		write("vip %s", p)
	}
	if c.Track.ReachWeight != reachWeight {
		write("reach %d", c.Track.ReachWeight)
	}
	ls := slices.Clone(c.Listeners)
	slices.SortFunc(ls, func(a, b proxy.ListenerConfig) int { return cmp.Compare(a.Name, b.Name) })
	for _, l := range ls {
		at := l.Bind.Addr().String()
		if !vips[l.Bind.Addr()] && !l.Bind.Addr().IsUnspecified() && !l.Bind.Addr().IsLoopback() {
			at = "own" // an address of the node, different on each
		}
		write("listener %q %s %d %s %q %d %d %d %d %d %d %d", l.Name, at, l.Bind.Port(), l.Protocol, l.Pool,
			l.IdleTimeout, l.TunnelTimeout, l.HalfCloseTimeout, l.HeaderTimeout, l.BodyTimeout, l.ResponseTimeout, l.MaxHeader)
		for _, p := range slices.SortedFunc(slices.Values(l.TrustedProxies), comparePrefix) {
			write("trusted %s", p)
		}
		if l.MaxConnsPerClient > 0 || l.RateLimit > 0 {
			write("clients %d %d %d", l.MaxConnsPerClient, l.RateLimit, l.RateBurst)
		}
		for _, n := range slices.SortedFunc(slices.Values(l.Deny), comparePrefix) {
			write("deny %s", n)
		}
		for _, n := range slices.SortedFunc(slices.Values(l.Allow), comparePrefix) {
			write("allow %s", n)
		}
		if l.Protocol == proxy.HTTP && l.MinRate != 100 {
			write("min rate %d", l.MinRate)
		}
		if l.Responses > 0 || l.MaxConns > 0 {
			write("flows %d %d", l.Responses, l.MaxConns)
		}
		if l.ProxyProtocol {
			write("proxy protocol")
		}
		hashRoutes(write, &l)
	}
	for i := range ls {
		hashTLS(h, &ls[i])
	}
	ps := slices.Clone(c.Pools)
	slices.SortFunc(ps, func(a, b Pool) int { return cmp.Compare(a.Name, b.Name) })
	for i := range ps {
		hashPool(h, &ps[i])
	}
	return h.Sum64()
}

// hashTLS writes what clients see of a listener's TLS. Where the files are is for each node.
func hashTLS(w io.Writer, l *proxy.ListenerConfig) {
	write := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	if t := l.TLS; t != nil {
		write("tls %q %d %t %t", l.Name, len(t.Certificates), t.OnlyTLS13, t.ClientCAFile != "")
	}
	if l.H2C {
		write("h2c %q", l.Name)
	}
	if l.Passthrough {
		write("passthrough %q", l.Name)
	}
	for _, n := range l.Names {
		write("names %q %q", n.Names, n.Pool)
	}
}

func hashPool(w io.Writer, p *Pool) {
	write := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	write("pool %q %s %d", p.Name, p.Balance, p.ConnectTimeout)
	if p.ProxyProtocol != "" {
		write("proxy protocol %s", p.ProxyProtocol)
	}
	if p.HTTP2 {
		write("http2")
	}
	if t := p.TLS; t != nil {
		write("pool tls %q %t", t.ServerName, t.Insecure)
	}
	h := &p.Health
	write("health %s %d %d %d %d %d %d", h.Type, h.Interval, h.FastInterval, h.Timeout, h.Rise, h.Fall, h.Port)
	var expect []string
	for _, r := range h.Expect {
		expect = append(expect, fmt.Sprintf("%d-%d", r.From, r.To))
	}
	slices.Sort(expect)
	write("http %q %q %q %s %q %t %q %t", h.Method, h.Path, h.Host, strings.Join(expect, ","), h.ExpectBody, h.TLS, h.TLSServerName, h.TLSInsecure)
	if h.Send != "" || h.Receive != "" || h.Service != "" || len(h.Command) > 0 || len(h.Headers) > 0 {
		write("probe %q %q %q %q %q", h.Send, h.Receive, h.Service, h.Command, h.Headers)
	}
	bs := slices.Clone(p.Backends)
	slices.SortFunc(bs, func(a, b pool.BackendConfig) int { return cmp.Compare(a.Name, b.Name) })
	for _, b := range bs {
		write("backend %q %s %d", b.Name, b.Address, b.Weight)
		if b.Host != "" {
			write("host %q %d", b.Host, b.Port)
		}
		if b.Backup {
			write("backup")
		}
		if b.MaxConns > 0 {
			write("max_conns %d %d %s", b.MaxConns, p.QueueSize, p.QueueTimeout)
		}
	}
	for _, n := range []struct {
		what  string
		value int64
	}{
		{"bounded_load", int64(p.BoundedLoad)}, {"slow_start", int64(p.SlowStart)}, {"panic", int64(p.Panic)},
		{"keep_at_least", int64(p.KeepAtLeast)},
	} {
		if n.value != 0 {
			write("%s %d", n.what, n.value)
		}
	}
	if p.OnDown != pool.OnDownReset {
		write("on_down %s", p.OnDown)
	}
	if e := p.Ejection; e != (pool.Ejection{After: 3, Time: 5 * time.Second, Growth: 2, MaxTime: 5 * time.Minute}) {
		write("eject %d %d %d %d", e.After, e.Time, e.Growth, e.MaxTime)
	}
	if r := p.Retries; r != (pool.Retries{Max: 3, Budget: 20}) {
		write("retries %d %d", r.Max, r.Budget)
	}
	if p.MaxRequests > 0 {
		write("max_requests %d %d %d", p.MaxRequests, p.QueueSize, p.QueueTimeout)
	}
	if p.Cookie != "" {
		write("cookie %q", p.Cookie)
	}
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
