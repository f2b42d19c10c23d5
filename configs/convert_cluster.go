package configs

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/vip"
)

const (
	maxPeers = 15
	maxVIPs  = 64
)

func (c *checker) cluster(f *fileCluster) cluster.Config {
	if !f.set {
		c.bad(place{line: 1, col: 1, key: "cluster"}, "is missing; write at least bind, peers and key_file below it")
	}
	failover := c.duration(f.Failover, span{min: 50 * time.Millisecond, max: 10 * time.Second, def: 200 * time.Millisecond})
	cfg := cluster.Config{
		Name:     "tandem",
		Priority: c.number(f.Priority, 254, 100),
		Preempt:  c.flag(f.Preempt),
		Failover: failover,
		// Who claims before it could have heard a leader's beats would claim from a living one.
		Settle:       c.duration(f.Settle, span{min: failover, max: time.Minute, def: max(time.Second, failover)}),
		PreemptDelay: c.duration(f.PreemptDelay, span{min: 0, max: 24 * time.Hour, def: 30 * time.Second}),
		Insecure:     c.flag(f.Insecure),
	}
	if name := c.name(f.Name); name != "" {
		cfg.Name = name
	}
	if f.PreemptDelay.ok() && !cfg.Preempt && cfg.PreemptDelay != 30*time.Second {
		c.warn(f.PreemptDelay.place, "has no effect without preempt: true")
	}
	c.keys(f, &cfg)
	if c.need(f.block, "bind", f.Bind.set, "this node's own address, such as 10.0.0.11:7946"); f.Bind.set {
		cfg.Bind = c.clusterBind(f.Bind)
	}
	c.readPeers(f, &cfg)
	c.readMirrors(&f.Mirrors, &cfg)
	c.readPaths(f, &cfg)
	c.modes(f, &cfg)
	return cfg
}

// keys reads key_file and insecure, of which exactly one is set.
func (c *checker) keys(f *fileCluster, cfg *cluster.Config) {
	cfg.KeyFile = c.path(f.KeyFile, "")
	switch {
	case f.bad || !f.set:
	case f.KeyFile.set && cfg.Insecure:
		c.bad(f.Insecure.place, "true contradicts key_file; keep exactly one of the two")
	case !f.KeyFile.set && f.Insecure.ok() && !cfg.Insecure:
		c.bad(f.Insecure.place, "false wants a key_file: a file made by tandem keygen, the same on all nodes")
	case !f.KeyFile.set && !f.Insecure.set:
		c.bad(f.under("key_file"), "is missing; write the path of a file made by tandem keygen, the same on all nodes (or insecure: true, for a trial only)")
	case cfg.Insecure:
		c.warn(f.Insecure.place, "anyone on the network can join this cluster and take its addresses; make a key with tandem keygen and name it in key_file")
	case cfg.KeyFile != "" && c.host.Key != nil:
		if err := c.host.Key(cfg.KeyFile); err != nil {
			c.fact(f.KeyFile.place, "%v", err)
		}
	}
}

func (c *checker) clusterBind(s scalar) netip.AddrPort {
	bind, ok := c.addrPort(s, gossipPort)
	switch why := odd(bind.Addr()); {
	case !ok:
		return netip.AddrPort{}
	case bind.Addr().IsUnspecified():
		c.bad(s.place, "%s listens on all addresses, but the peers must be told one, and the VIP is none of them; write this node's own address", show(s.text))
		return netip.AddrPort{}
	case why != "":
		c.bad(s.place, "%s %s; write this node's own address", show(s.text), why)
		return netip.AddrPort{}
	case bind.Port() == 65535:
		c.bad(s.place, "the port 65535 leaves none for beats and the peer stream, which use the next one; allowed: 1..65534")
		return netip.AddrPort{}
	}
	c.bind = located[netip.AddrPort]{s.place, bind}
	return bind
}

func (c *checker) readPeers(f *fileCluster, cfg *cluster.Config) {
	switch {
	case f.set && !f.bad && !f.Peers.set:
		c.bad(f.under("peers"), "is missing; write the cluster.bind of the other node, such as [10.0.0.12:7946] (or [] for a node that is alone)")
		return
	case f.Peers.set && !f.Peers.bad && len(f.Peers.items) == 0:
		c.warn(f.Peers.place, "is empty; nobody takes over when this node fails")
		return
	case len(f.Peers.items) > maxPeers:
		c.bad(f.Peers.place, "has %d entries; allowed: at most %d", len(f.Peers.items), maxPeers)
		return
	}
	seen := make(map[netip.AddrPort]bool)
	for _, s := range f.Peers.items {
		p, ok := c.addrPort(s, gossipPort)
		if !ok {
			continue
		}
		bind := c.bind.v
		switch why := odd(p.Addr()); {
		case why != "":
			c.bad(s.place, "%s %s; write the cluster.bind of the other node", show(s.text), why)
		case p.Port() == 65535:
			c.bad(s.place, "the port 65535 leaves none for beats, which use the next one; allowed: 1..65534")
		case seen[p]:
			c.bad(s.place, "%s is listed twice; list each other node once", p)
		case bind.IsValid() && p == bind:
			c.bad(s.place, "%s is this node itself (cluster.bind); list the other nodes only", p)
		case bind.IsValid() && p.Addr() == bind.Addr() && (p.Port() == bind.Port()+1 || p.Port()+1 == bind.Port()):
			c.bad(s.place, "%s overlaps cluster.bind %s: each node uses its port and the next; leave a gap of two", p, bind)
		case bind.IsValid() && p.Addr().Is4() != bind.Addr().Is4():
			c.bad(s.place, "%s is %s and cluster.bind is %s; nodes speak to each other in one family", p, family(p.Addr()), family(bind.Addr()))
		case bind.IsValid() && p.Addr().IsLoopback() != bind.Addr().IsLoopback():
			c.bad(s.place, "%s and cluster.bind %s cannot reach each other: one of them is a loopback address; write the addresses of the network", p, bind)
		default:
			c.peers = append(c.peers, located[netip.AddrPort]{s.place, p})
			cfg.Peers = append(cfg.Peers, p)
		}
		seen[p] = true
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func (c *checker) vip(f *fileVIP, failover time.Duration) vip.Config {
	if !f.set {
		c.bad(place{line: 1, col: 1, key: "vip"}, "is missing; write at least interface and addresses below it")
	}
	least := max(2*time.Second, (failover + time.Second - 1).Truncate(time.Second))
	lease := c.duration(f.Lease, span{min: least, max: time.Minute, def: least})
	if lease%time.Second != 0 {
		c.bad(f.Lease.place, "%s is not a whole number of seconds, in which the kernel counts; write %s or %s", brief(lease), brief(lease.Truncate(time.Second)), brief(lease.Truncate(time.Second)+time.Second))
	}
	cfg := vip.Config{
		Lease:    lease,
		Failover: failover,
		Refresh:  c.duration(f.Refresh, span{min: time.Second, max: 24 * time.Hour, def: time.Minute, never: true}),
	}
	c.need(f.block, "interface", f.Interface.set, "the name of the interface that the clients' network is on, such as eth0")
	if f.Interface.ok() {
		cfg.Interface = c.link(f.Interface)
	}
	c.need(f.block, "addresses", f.Addresses.set, "the virtual addresses, such as [10.0.0.10]")
	c.readVIPs(&f.Addresses)
	for _, v := range c.vips {
		cfg.Addresses = append(cfg.Addresses, v.v)
	}
	cfg.Gateway = c.gateway(f.Gateway, c.vips)
	cfg.More = c.more(f)
	return cfg
}

// validLink says whether the kernel allows an interface of that name (dev_valid_name).
func validLink(s string) bool {
	bad := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r == 0x7f })
	return s != "" && len(s) <= 15 && !bad && s != "." && s != ".."
}

// link reads the name of the interface that the VIPs are on.
func (c *checker) link(s scalar) string {
	switch {
	case !validLink(s.text):
		c.bad(s.place, "%s is not the name of an interface; allowed: 1 to 15 characters without blanks, slashes and colons (ip link shows the names)", show(s.text))
		return ""
	case s.text == "lo":
		c.bad(s.place, "lo is seen by no client; write the interface that the clients' network is on")
		return ""
	}
	if c.host.Interface != nil {
		if err := c.host.Interface(s.text); err != nil {
			c.fact(s.place, "there is no interface %s on this host (ip link shows the names); the daemon would wait for it", s.text)
		}
	}
	return s.text
}

func (c *checker) readVIPs(l *list) {
	switch {
	case !l.set || l.bad:
		return
	case len(l.items) == 0:
		c.bad(l.place, "is empty; write at least one virtual address, such as 10.0.0.10")
		return
	case len(l.items) > maxVIPs:
		c.bad(l.place, "has %d entries; allowed: at most %d", len(l.items), maxVIPs)
		return
	}
	for _, s := range l.items {
		p, ok := c.prefix(s)
		if !ok {
			continue
		}
		a := p.Addr()
		switch why := odd(a); {
		case why != "":
			c.bad(s.place, "%s %s; write an address that clients connect to", show(s.text), why)
			continue
		case a.IsLoopback():
			c.bad(s.place, "%s is a loopback address, which no other host can reach; write an address that clients connect to", show(s.text))
			continue
		case c.isVIP(a):
			c.bad(s.place, "%s is listed twice", a)
			continue
		}
		if why := hostOf(p); why != "" {
			c.bad(s.place, "%s %s; write the virtual address itself, such as one of %s", show(s.text), why, p.Masked())
			continue
		}
		if p.Bits() < a.BitLen() {
			c.warn(s.place, "/%d lets the kernel treat the VIP as an address of that network: it can become the source of the host's own traffic, and vanish with the host's primary address; /%d has neither", p.Bits(), a.BitLen())
		}
		c.vips = append(c.vips, located[netip.Prefix]{s.place, p})
	}
}

// gateway reads the router of the link with these virtual addresses.
func (c *checker) gateway(s scalar, vips []located[netip.Prefix]) netip.Addr {
	a, ok := c.addr(s)
	if !ok {
		return netip.Addr{}
	}
	if why := odd(a); why != "" || a.IsLoopback() {
		if why == "" {
			why = "is a loopback address"
		}
		c.bad(s.place, "%s %s; write the router's address on the VIPs' network, or leave the key out", show(s.text), why)
		return netip.Addr{}
	}
	if c.isVIP(a) {
		c.bad(s.place, "%s is a virtual address itself; write the router's, or leave the key out", a)
		return netip.Addr{}
	}
	sameFamily := len(vips) == 0
	for _, v := range vips {
		sameFamily = sameFamily || v.v.Addr().Is4() == a.Is4()
	}
	for _, p := range c.peers {
		if p.v.Addr() == a {
			c.bad(s.place, "%s is a peer; the gateway is asked as a third party: write the router's, or leave the key out", a)
			return netip.Addr{}
		}
	}
	switch {
	case c.bind.v.IsValid() && c.bind.v.Addr() == a:
		c.bad(s.place, "%s is this node itself (cluster.bind); write the router's, or leave the key out", a)
	case !sameFamily:
		c.bad(s.place, "%s is %s and no virtual address is; write the router's address in their family, or leave the key out", a, family(a))
	default:
		return a
	}
	return netip.Addr{}
}
