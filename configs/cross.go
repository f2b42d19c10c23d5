package configs

import (
	"net/netip"
	"slices"

	"github.com/tandem-lb/tandem/proxy"
)

// cross checks one thing of the file against another.
func (c *checker) cross(f *fileConfig) {
	c.vipsAndNodes()
	c.pathsAndVIPs()
	c.poolsAndListeners(f)
	c.vipsAndListeners(f)
	c.cookies()
	c.ports()
	c.loops()
	c.localBinds(c.allVIPs(&f.VIP))
}

func (c *checker) isVIP(a netip.Addr) bool {
	for _, v := range c.vips {
		if v.v.Addr() == a {
			return true
		}
	}
	return false
}

// vipsAndNodes: a VIP moves, so it cannot be where a node is reached.
func (c *checker) vipsAndNodes() {
	if c.isVIP(c.bind.v.Addr()) {
		c.bad(c.bind.place, "%s is a virtual address, which moves between the nodes; write this node's own address", c.bind.v.Addr())
	}
	for _, p := range c.peers {
		if c.isVIP(p.v.Addr()) {
			c.bad(p.place, "%s is a virtual address, which moves between the nodes; write the other node's own address", p.v.Addr())
		}
	}
}

// pathsAndVIPs: the same for the further paths and the mirrors.
func (c *checker) pathsAndVIPs() {
	for _, p := range c.paths {
		if c.isVIP(p.v.Addr()) {
			c.bad(p.place, "%s is a virtual address, which moves between the nodes; write this node's own address on the path", p.v.Addr())
		}
	}
	for _, m := range c.mirrors {
		if c.isVIP(m.v) {
			c.bad(m.place, "%s is a virtual address; a mirror is a third host on the VIPs' network that answers ping", m.v)
		}
	}
}

// poolsAndListeners: every listener's pool exists, and every pool is used.
func (c *checker) poolsAndListeners(f *fileConfig) {
	known := make(map[string]bool)
	var all []string
	for _, p := range c.pools {
		known[p.v] = true
		all = append(all, p.v)
	}
	used, lost := make(map[string]bool), false
	for _, u := range c.used {
		used[u.v] = true
		lost = lost || !known[u.v]
		switch {
		case known[u.v] || f.Pools.bad:
		case len(all) == 0:
			c.bad(u.place, "there is no pool %s; write it below pools", u.v)
		default:
			c.bad(u.place, "there is no pool %s%s", u.v, poolHint(u.v, all))
		}
	}
	for _, p := range c.pools {
		if !used[p.v] && !lost && !f.Listeners.bad { // if one is lost it may be this one, mistyped
			c.warn(p.place, "no listener uses the pool %s", p.v)
		}
	}
}

// vipsAndListeners: an address on which nothing listens may be one that was mistyped.
func (c *checker) vipsAndListeners(f *fileConfig) {
	if f.Listeners.bad || len(c.listeners) == 0 { // none at all has been told
		return
	}
	for _, v := range c.vips {
		a := v.v.Addr()
		heard := slices.ContainsFunc(c.listeners, func(l located[proxy.ListenerConfig]) bool {
			return l.v.Bind.Addr() == a || covers(l.v.Bind.Addr(), a)
		})
		if !heard {
			c.warn(v.place, "no listener binds %s: clients that connect to it are refused, unless another program listens there on every node", a)
		}
	}
}

func poolHint(name string, all []string) string {
	if m := meant(name, all); m != "" {
		return m
	}
	const most = 8
	text := "; there is "
	for i, p := range all {
		if i == most {
			return text + ", …"
		}
		if i > 0 {
			text += ", "
		}
		text += p
	}
	return text
}

// overlap says whether two sockets of one protocol cannot both be bound. [::] takes the IPv6 addresses only (IPV6_V6ONLY).
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	return a.Addr() == b.Addr() || covers(a.Addr(), b.Addr()) || covers(b.Addr(), a.Addr())
}

// covers says whether a socket on the wildcard a gets what is sent to b.
func covers(a, b netip.Addr) bool {
	return a == netip.IPv4Unspecified() && b.Is4() || a == netip.IPv6Unspecified() && b.Is6()
}

// ports: no two sockets of this daemon on one port.
func (c *checker) ports() {
	// By port, so that many listeners are not compared with each other.
	byPort := make(map[uint16][]located[proxy.ListenerConfig])
	for _, l := range c.listeners {
		c.ownPorts(l)
		for _, o := range byPort[l.v.Bind.Port()] {
			if !overlap(l.v.Bind, o.v.Bind) || (l.v.Protocol == proxy.UDP) != (o.v.Protocol == proxy.UDP) {
				continue
			}
			if l.v.Bind == o.v.Bind {
				c.bad(l.place, "%s is the bind of the listener %s (line %d), too; give each its own address or port", l.v.Bind, o.v.Name, o.line)
			} else {
				c.bad(l.place, "%s clashes with %s of the listener %s (line %d): one of them takes the port on all addresses", l.v.Bind, o.v.Bind, o.v.Name, o.line)
			}
			break
		}
		byPort[l.v.Bind.Port()] = append(byPort[l.v.Bind.Port()], l)
	}
}

// ownPorts: the nodes talk on cluster.bind and the next port.
func (c *checker) ownPorts(l located[proxy.ListenerConfig]) {
	bind := c.bind.v
	if !bind.IsValid() {
		return
	}
	if overlap(l.v.Bind, bind) {
		c.bad(l.place, "%s clashes with cluster.bind %s, where gossip listens; choose another port", l.v.Bind, bind)
	}
	if next := netip.AddrPortFrom(bind.Addr(), bind.Port()+1); overlap(l.v.Bind, next) {
		c.bad(l.place, "%s clashes with %s, where the nodes' beats and their stream arrive (the port after cluster.bind); choose another port", l.v.Bind, next)
	}
	for _, p := range c.paths {
		if overlap(l.v.Bind, p.v) {
			c.bad(l.place, "%s clashes with %s of cluster.paths, where the nodes' beats and their stream arrive; choose another port", l.v.Bind, p.v)
		}
	}
}

// loops: a backend must not be this cluster itself.
func (c *checker) loops() {
	byPort := make(map[uint16][]located[proxy.ListenerConfig])
	for _, l := range c.listeners {
		byPort[l.v.Bind.Port()] = append(byPort[l.v.Bind.Port()], l)
	}
	own := map[netip.Addr]bool{c.bind.v.Addr(): c.bind.v.IsValid()}
	for _, p := range c.peers {
		own[p.v.Addr()] = true
	}
	for _, b := range c.backends {
		a := b.v.Addr()
		looped := false
		for _, l := range byPort[b.v.Port()] {
			wildcard := covers(l.v.Bind.Addr(), a) && (own[a] || c.isVIP(a) || a.IsLoopback())
			if l.v.Bind == b.v || wildcard {
				c.bad(b.place, "%s is the listener %s of this cluster: connections would go round in a loop; write where the backend listens", b.v, l.v.Name)
				looped = true
				break
			}
		}
		if c.isVIP(a) && !looped {
			c.warn(b.place, "%s is a virtual address: another host after each failover; a backend of its own has an address of its own", a)
		}
		if bind := c.bind.v; bind.IsValid() && a == bind.Addr() && (b.v.Port() == bind.Port() || b.v.Port() == bind.Port()+1) {
			c.bad(b.place, "%s is where the nodes of this cluster talk (cluster.bind and the next port); write where the backend listens", b.v)
		}
	}
}

// localBinds: what is bound is a VIP or is on this host. If not all VIPs could be read, it may be one of those.
func (c *checker) localBinds(allVIPs bool) {
	if c.host.Addresses == nil {
		return
	}
	addrs, err := c.host.Addresses()
	if err != nil {
		c.fact(place{}, "the addresses of this host cannot be read: %v", err)
		return
	}
	local := make(map[netip.Addr]bool)
	for _, a := range addrs {
		local[a] = true
	}
	if a := c.bind.v.Addr(); c.bind.v.IsValid() && !local[a] && !a.IsLoopback() && !c.isVIP(a) {
		c.fact(c.bind.place, "%s is not an address of this host; the daemon would wait for it", a)
	}
	for _, p := range c.peers {
		if a := p.v.Addr(); local[a] && !a.IsLoopback() && a != c.bind.v.Addr() && !c.isVIP(a) {
			c.fact(p.place, "%s is an address of this host; a peer is another host", a)
		}
	}
	for _, l := range c.listeners {
		a := l.v.Bind.Addr()
		if allVIPs && !a.IsUnspecified() && !a.IsLoopback() && !c.isVIP(a) && !local[a] {
			c.fact(l.place, "%s is neither a virtual address (vip.addresses, vip.more) nor an address of this host", a)
		}
	}
}
