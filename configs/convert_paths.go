package configs

import (
	"net/netip"

	"github.com/tandem-lb/tandem/cluster"
)

const (
	maxPaths   = 3 // beside that of cluster.bind
	maxMirrors = 8 // of which three are used at a time
)

// readMirrors reads auto, off, or a list of addresses.
func (c *checker) readMirrors(l *list, cfg *cluster.Config) {
	switch {
	case !l.set || l.bad:
		return
	case len(l.items) == 1 && l.items[0].ok() && l.items[0].text == "auto":
		return
	case len(l.items) == 1 && l.items[0].ok() && (l.items[0].text == "off" || l.items[0].text == "false"):
		cfg.NoMirrors = true
		return
	case len(l.items) == 1 && l.items[0].ok() && looksLikeName(l.items[0].text) && l.items[0].key == l.key:
		c.bad(l.items[0].place, "%s is not allowed; write auto, off, or a list of addresses", show(l.items[0].text))
		return
	case len(l.items) == 0:
		c.bad(l.place, "is empty; write auto, off, or a list of addresses")
		return
	case len(l.items) > maxMirrors:
		c.bad(l.place, "has %d entries; allowed: at most %d", len(l.items), maxMirrors)
		return
	}
	seen := make(map[netip.Addr]bool)
	for _, s := range l.items {
		if s.ok() && (s.text == "auto" || s.text == "off") {
			c.bad(s.place, "%s cannot be mixed with addresses; write auto, off, or a list of addresses", s.text)
			continue
		}
		a, ok := c.addr(s)
		if !ok {
			continue
		}
		why := odd(a)
		if why == "" && a.IsLoopback() {
			why = "is a loopback address"
		}
		switch {
		case why != "":
			c.bad(s.place, "%s %s; write the address of a host on the VIPs' network that answers ping", show(s.text), why)
		case seen[a]:
			c.bad(s.place, "%s is listed twice", a)
		case c.isNode(a):
			c.bad(s.place, "%s is a node of this cluster; a mirror is a third host on the VIPs' network that answers ping", a)
		default:
			c.mirrors = append(c.mirrors, located[netip.Addr]{s.place, a})
			cfg.Mirrors = append(cfg.Mirrors, a)
		}
		seen[a] = true
	}
}

// isNode says whether a is where this node or a peer is reached.
func (c *checker) isNode(a netip.Addr) bool {
	if c.bind.v.IsValid() && c.bind.v.Addr() == a {
		return true
	}
	for _, p := range c.peers {
		if p.v.Addr() == a {
			return true
		}
	}
	return false
}

// readPaths reads the further ways between the nodes.
func (c *checker) readPaths(f *fileCluster, cfg *cluster.Config) {
	switch {
	case !f.Paths.set || f.Paths.bad:
		return
	case len(f.Paths.items) > maxPaths:
		c.bad(f.Paths.place, "has %d entries; allowed: at most %d, beside the path of cluster.bind", len(f.Paths.items), maxPaths)
		return
	}
	port := uint16(gossipPort + 1)
	if c.bind.v.IsValid() {
		port = c.bind.v.Port() + 1
	}
	taken := map[netip.AddrPort]bool{netip.AddrPortFrom(c.bind.v.Addr(), port): c.bind.v.IsValid()}
	for i := range f.Paths.items {
		p := &f.Paths.items[i]
		path := cluster.Path{Bind: c.pathBind(p, port, taken)}
		path.Peers = c.pathPeers(p, len(f.Peers.items), path.Bind, port, taken)
		if path.Bind.IsValid() {
			cfg.Paths = append(cfg.Paths, path)
		}
	}
}

func (c *checker) pathBind(f *filePath, port uint16, taken map[netip.AddrPort]bool) netip.AddrPort {
	c.need(f.block, "bind", f.Bind.set, "this node's address on the path, such as 192.168.9.1")
	bind, ok := c.addrPort(f.Bind, port)
	if !ok {
		return netip.AddrPort{}
	}
	switch why := odd(bind.Addr()); {
	case why != "":
		c.bad(f.Bind.place, "%s %s; write this node's own address on the path", show(f.Bind.text), why)
		return netip.AddrPort{}
	case taken[bind]:
		c.bad(f.Bind.place, "%s is used by another path, or by cluster.bind; a path of its own wants an address of its own", bind)
		return netip.AddrPort{}
	}
	taken[bind] = true
	c.paths = append(c.paths, located[netip.AddrPort]{f.Bind.place, bind})
	return bind
}

// pathPeers reads the addresses of all peers on a path; none stands for a peer that is not on it.
func (c *checker) pathPeers(f *filePath, want int, bind netip.AddrPort, port uint16, taken map[netip.AddrPort]bool) []netip.AddrPort {
	c.need(f.block, "peers", f.Peers.set, "the address of each peer on the path, in the order of cluster.peers, such as [192.168.9.2]")
	if f.Peers.set && !f.Peers.bad && len(f.Peers.items) != want {
		c.bad(f.Peers.place, "has %d entries and cluster.peers %d; write one for each peer, in the same order, or none for a peer that is not on this path", len(f.Peers.items), want)
		return nil
	}
	var peers []netip.AddrPort
	for _, s := range f.Peers.items {
		if s.ok() && s.text == "none" {
			peers = append(peers, netip.AddrPort{})
			continue
		}
		p, ok := c.addrPort(s, port)
		if !ok {
			continue
		}
		switch why := odd(p.Addr()); {
		case why != "":
			c.bad(s.place, "%s %s; write the peer's own address on the path", show(s.text), why)
		case taken[p]:
			c.bad(s.place, "%s is used twice; each node has an address of its own on each path", p)
		case bind.IsValid() && p.Addr().Is4() != bind.Addr().Is4():
			c.bad(s.place, "%s is %s and the path's bind is %s; the nodes speak to each other in one family on a path", p, family(p.Addr()), family(bind.Addr()))
		default:
			peers = append(peers, p)
		}
		taken[p] = true
	}
	return peers
}
