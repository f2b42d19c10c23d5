package configs

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/proxy"
)

// sound validates a configuration once more, from its types, without a look at what the parser does.
func sound(t *testing.T, c *Config) {
	t.Helper()
	must := func(ok bool, what string, v any) {
		t.Helper()
		if !ok {
			t.Errorf("a configuration was accepted in which %s: %+v", what, v)
		}
	}
	between := func(d, least, most time.Duration, what string) {
		t.Helper()
		must(d >= least && d <= most, what+" is out of range", d)
	}
	usable := func(a netip.AddrPort, what string) {
		t.Helper()
		ip := a.Addr()
		must(a.IsValid() && a.Port() != 0 && !ip.Is4In6() && ip.Zone() == "" && !ip.IsMulticast(), what+" is not usable", a)
	}
	must(validName(c.Node) && c.Cluster.Node == c.Node, "the node has no name", c.Node)
	must(validName(c.Cluster.Name), "the cluster has no name", c.Cluster.Name)
	must((c.Cluster.KeyFile != "") != c.Cluster.Insecure, "not exactly one of key_file and insecure is set", c.Cluster)
	must(c.Cluster.Priority >= 1 && c.Cluster.Priority <= 254, "the priority is out of range", c.Cluster.Priority)
	between(c.Cluster.Failover, 50*time.Millisecond, 10*time.Second, "failover")
	between(c.Cluster.Settle, c.Cluster.Failover, time.Minute, "settle")
	between(c.Drain, time.Millisecond, time.Hour, "drain")
	if c.Cluster.Witness {
		must(c.Cluster.Quorum && len(c.VIP.Addresses) == 0 && len(c.Listeners) == 0 && len(c.Pools) == 0, "a witness has more than a vote", c)
	} else {
		must(c.VIP.Node == c.Node, "the VIP's node has no name", c.VIP)
		between(c.VIP.Lease, max(2*time.Second, c.Cluster.Failover), time.Minute, "lease")
		must(c.VIP.Lease%time.Second == 0, "the lease has a fraction of a second", c.VIP.Lease)
		must(c.VIP.Failover == c.Cluster.Failover && c.VIP.RunDir == c.RunDir, "vip differs from cluster", c.VIP)
		must(c.VIP.Refresh >= time.Second || c.VIP.Refresh < 0, "refresh is out of range", c.VIP.Refresh)
		must(c.VIP.Interface != "" && len(c.VIP.Interface) <= 15, "the interface has no name", c.VIP.Interface)
		must(len(c.VIP.Addresses) > 0, "there is no VIP", nil)
	}
	must(!c.Cluster.Quorum || len(c.Cluster.Peers) >= 2, "no majority is left when one fails", c.Cluster)
	must(c.StateDir[0] == '/' && c.RunDir[0] == '/' && c.Admin.Socket[0] == '/' && len(c.Admin.Socket) < 108, "a path is wrong", c.Admin)
	usable(c.Cluster.Bind, "bind")
	must(c.Cluster.Bind.Port() < 65535, "there is no port after bind's", c.Cluster.Bind)
	vips := make(map[netip.Addr]bool)
	for _, v := range c.VIP.Addresses {
		must(v.IsValid() && !vips[v.Addr()], "a VIP is wrong or twice", v)
		vips[v.Addr()] = true
	}
	must(!vips[c.Cluster.Bind.Addr()] && !vips[c.VIP.Gateway], "a VIP is not virtual", c.VIP)
	for _, p := range c.Cluster.Peers {
		usable(p, "a peer")
		must(p != c.Cluster.Bind && !vips[p.Addr()], "a peer is a VIP or this node", p)
	}
	pools := make(map[string]bool)
	for _, p := range c.Pools {
		must(validName(p.Name) && !pools[p.Name], "a pool has no name of its own", p)
		pools[p.Name] = true
		soundPool(t, p, must, usable)
	}
	names, binds := make(map[string]bool), make(map[netip.AddrPort]bool)
	for _, l := range c.Listeners {
		usable(l.Bind, "a listener's bind")
		must(validName(l.Name) && !names[l.Name] && !binds[l.Bind] && (pools[l.Pool] || l.Pool == "" && len(l.Routes)+len(l.Names) > 0), "a listener has no name, bind or pool of its own", l)
		names[l.Name], binds[l.Bind] = true, true
		must(l.IdleTimeout != 0 && (l.Protocol == proxy.TCP) == (l.HalfCloseTimeout != 0), "a default is missing", l)
		must((l.Protocol == proxy.HTTP) == (l.HeaderTimeout != 0 && l.BodyTimeout != 0 && l.ResponseTimeout != 0 && l.MaxHeader > 0), "a default is missing", l)
	}
}

func soundPool(t *testing.T, p Pool, must func(bool, string, any), usable func(netip.AddrPort, string)) {
	t.Helper()
	names := make(map[string]bool)
	must(len(p.Backends) > 0 && p.Balance != "" && p.ConnectTimeout > 0, "a pool has no backends, balance or time-out", p)
	primaries := 0
	for _, b := range p.Backends {
		if !b.Backup {
			primaries++
		}
		must(b.MaxConns >= 0 && (b.MaxConns == 0 || p.QueueTimeout > 0), "a full backend has no queue", p)
		if b.Host == "" {
			usable(b.Address, "a backend")
		}
		must(b.Host == "" || b.Port != 0, "a backend has a name and no port", b)
		must(validName(b.Name) && !names[b.Name] && b.Weight >= 1 && b.Weight <= 256, "a backend has no name of its own or no weight", b)
		names[b.Name] = true
	}
	must(primaries > 0 && p.KeepAtLeast <= primaries && p.Panic <= 100, "rules cannot be kept", p)
	must(!p.Balance.ByClient() || p.SlowStart == 0, "hashes move while a share grows", p)
	must(p.BoundedLoad == 0 || p.BoundedLoad > 100, "the bound leaves connections over", p)
	h := p.Health
	if h.Type == health.None {
		return
	}
	must((h.Type == health.Exec) == (len(h.Command) > 0) && (h.Type != health.HTTPS && h.Type != health.TLS || h.TLS), "a probe misses what its type needs", h)
	must(p.OnDown != "" && p.Ejection.After != 0 && p.Retries.Max != 0 && p.Retries.Budget != 0, "a default is missing", p)
	must(h.Timeout > 0 && h.Timeout <= h.Interval && h.FastInterval > 0 && h.FastInterval <= h.Interval && h.Rise > 0 && h.Fall > 0, "a probe's times contradict each other", h)
	must((h.Type == health.HTTP || h.Type == health.HTTPS) == (h.Method != "" && h.Path != "" && len(h.Expect) > 0), "a default is missing", h)
}
