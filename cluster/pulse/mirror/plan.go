package mirror

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// most is how many mirrors are used at the same time.
const most = 3

// Link is what is known of the VIPs' link.
type Link struct {
	Index int // 0: it is not there
	MAC   net.HardwareAddr
	Own   []netip.Prefix // this host's addresses, with the length of their network
	// Neighbours are the hosts that answer on the link, and where.
	Neighbours map[netip.Addr]net.HardwareAddr
}

// target is a mirror that can be used.
type target struct {
	addr netip.Addr
	mac  net.HardwareAddr
}

// plan is how to reach peers by mirrors now.
type plan struct {
	peers   []netip.Addr // of each configured peer, its address on the link; invalid: it has none there
	targets []target     // at most three, all of one family
	src     net.HardwareAddr
	six     bool
	why     string // why nobody can be reached so; empty: somebody can
}

// makePlan chooses the mirrors. peers are the addresses of each peer, the preferred first; mirrors are candidates, the preferred first.
func makePlan(l Link, peers [][]netip.Addr, mirrors []netip.Addr) plan {
	p := plan{peers: make([]netip.Addr, len(peers)), src: l.MAC}
	if l.Index == 0 || len(l.MAC) != 6 {
		p.why = "the link of the VIPs is not there"
		return p
	}
	var on *netip.Prefix
	for i, addrs := range peers {
		for _, a := range addrs {
			n := slices.IndexFunc(l.Own, func(o netip.Prefix) bool { return o.Contains(a) && o.Bits() < a.BitLen() })
			if n < 0 || on != nil && a.Is4() != on.Addr().Is4() {
				continue
			}
			p.peers[i], p.six = a, a.Is6()
			if on == nil {
				on = &l.Own[n]
			}
			break
		}
	}
	if on == nil {
		p.why = "no peer has an address on the network of the VIPs' link"
		return p
	}
	var missing []string
	for _, m := range mirrors {
		mac, known := l.Neighbours[m]
		switch {
		case len(p.targets) == most, m.Is6() != p.six, p.isNode(m, peers, l.Own), !onLink(m, l.Own):
		case !known:
			missing = append(missing, m.String())
		default:
			p.targets = append(p.targets, target{m, mac})
		}
	}
	switch {
	case len(p.targets) > 0:
	case len(missing) > 0:
		p.why = fmt.Sprintf("%s did not answer on the link", strings.Join(missing, ", "))
	default:
		p.why = "neither the gateway nor a backend is on the link: set vip.gateway or cluster.mirrors"
	}
	return p
}

func onLink(a netip.Addr, own []netip.Prefix) bool {
	return slices.ContainsFunc(own, func(o netip.Prefix) bool { return o.Contains(a) })
}

// isNode reports whether a is this host or a peer: neither can be a mirror.
func (p *plan) isNode(a netip.Addr, peers [][]netip.Addr, own []netip.Prefix) bool {
	return slices.ContainsFunc(own, func(o netip.Prefix) bool { return o.Addr() == a }) ||
		slices.ContainsFunc(peers, func(addrs []netip.Addr) bool { return slices.Contains(addrs, a) })
}

func (p *plan) names() string {
	var names []string
	for _, t := range p.targets {
		names = append(names, t.addr.String())
	}
	return strings.Join(names, " ")
}
