package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

const (
	// unheard is how long a peer may be unheard before that is a warning: its host may be booting.
	unheard = 10 * time.Second
	// deaf is how long a peer may not hear this node before that is a warning.
	deaf = time.Second
)

// apart is what is known of why nodes are not, or only half, a cluster.
type apart struct {
	now, started time.Time
	bind         netip.AddrPort // cluster.bind; beats and stream have the next port
	gossip       []gossip.Problem
	pulse        []pulse.Problem
	members      []gossip.Member
	configured   []netip.AddrPort
	deafFor      map[string]time.Duration // how long a peer has not heard this node
	peers        []api.Peer
	reason       election.Reason
	about        string
}

func (r *reporter) apart(n cluster.Status, s api.Status) apart {
	a := apart{
		now: s.At, started: r.started, bind: r.cfg.Cluster.Bind, gossip: r.gossip.Problems(),
		pulse: r.pulse.Problems(), members: r.gossip.Snapshot(), configured: r.cfg.Cluster.Peers, deafFor: map[string]time.Duration{}, peers: s.Peers, reason: n.Reason, about: n.About,
	}
	for _, p := range n.Peers {
		a.deafFor[p.Name] = p.DeafFor
	}
	return a
}

// warnings says why, and what to do. An address with a problem that a node told of itself gets no guess.
func (a apart) warnings() []string {
	var w []string
	told := map[netip.Addr]bool{}
	for _, p := range a.gossip {
		told[hostOf(p.Addr)] = true
		w = append(w, p.Text)
	}
	for _, p := range a.pulse {
		if host := p.Addr.Addr().Unmap(); !told[host] {
			told[host] = true
			w = append(w, p.Text)
		}
	}
	ports := fmt.Sprintf("%d and %d", a.bind.Port(), a.bind.Port()+1)
	broken := a.reason == election.ReasonPathBroken
	for _, p := range a.peers {
		who := p.Name
		if who == "" {
			who = hostOf(p.Address).String()
		}
		switch {
		case told[hostOf(p.Address)]:
		case (p.State != api.PeerAlive || !p.HearsUs && a.deafFor[p.Name] > deaf) && a.unlisted(p.Address):
			w = append(w, p.Name+" has joined from "+p.Address+", which is not in cluster.peers of this node, so no beats go there: put it in, and restart this node")
		case p.State == api.PeerUnknown && (broken || a.now.Sub(a.since(p.Name)) > unheard),
			broken && p.Name == a.about && p.State != api.PeerAlive:
			text := "nothing is heard from " + who + ": if it runs, let UDP and TCP " + ports + " pass between the nodes, and see that " + a.bind.String() + " is in its cluster.peers"
			if p.Name == "" {
				text += " and " + p.Address + " its cluster.bind"
			} else if p.State == api.PeerUnknown {
				text = who + " has joined from " + p.Address + " and sends no beats here: is " + a.bind.String() + " in its cluster.peers? If so, let UDP and TCP " + ports + " pass between the nodes"
			}
			w = append(w, text)
		case p.State == api.PeerAlive && !p.HearsUs && a.deafFor[p.Name] > deaf:
			w = append(w, who+" does not hear this node: is there a firewall on one of the two? Let UDP "+ports+" pass")
		}
	}
	return w
}

// unlisted reports whether addr, the cluster.bind of a member, is missing in this node's cluster.peers.
func (a apart) unlisted(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && !slices.Contains(a.configured, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

// since is from when on a node should have been heard.
func (a apart) since(name string) time.Time {
	for _, m := range a.members {
		if m.Name == name && m.Since.After(a.started) {
			return m.Since
		}
	}
	return a.started
}

// hostOf is the address in s, with or without a port; the zero value if there is none.
func hostOf(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap()
	}
	a, _ := netip.ParseAddr(s)
	return a.Unmap()
}
