package pulse

import (
	"net/netip"
	"strings"
	"time"
)

// Problem is why beats of a node were refused in the last few seconds.
type Problem struct {
	Addr netip.AddrPort
	Text string // what is wrong and what to do, in one sentence
}

// blame notes who was refused, for Problems; at most once a second. For the beat thread.
func (n *news) blame(c Cause, from netip.AddrPort, name []byte, now time.Time) {
	switch c {
	case OtherKey, NoKey, OtherVersion, Forged:
		if !n.isPeer(from) {
			return // anybody can send these
		}
	case OtherCluster, OwnName, OwnBoot:
	case Fine, Learnt, Old, Retired, Oversized, Malformed, Mirrored, Crowded, causes:
		return
	}
	if x := n.recent[c].Load(); x != nil && x.addr == from && now.Sub(x.at) < time.Second {
		return
	}
	n.recent[c].Store(&culprit{addr: from, name: strings.Clone(string(name)), at: now})
}

func (n *news) isPeer(from netip.AddrPort) bool {
	for _, p := range n.peers {
		if p.Addr().Unmap() == from.Addr().Unmap() {
			return true
		}
	}
	return false
}

// Problems returns why beats of peers were refused in the last 5 s. Where several nodes have one and the same problem, it names one of them.
func (p *Pulse) Problems() []Problem {
	var out []Problem
	now := time.Now()
	for c := range causes {
		x := p.news.recent[c].Load()
		if x == nil || now.Sub(x.at) > stale {
			continue
		}
		if text := problemText(c, x); text != "" {
			out = append(out, Problem{x.addr, text})
		}
	}
	return out
}

func problemText(c Cause, x *culprit) string {
	host := x.addr.Addr().Unmap().String()
	switch c { //nolint:exhaustive // the others are no problems of a configuration
	case OtherKey:
		return host + " has another key: copy one cluster.key_file to both nodes and restart"
	case NoKey:
		return "one of this node and " + host + " has a key and the other is insecure: set the same cluster.key_file on both and restart"
	case OtherVersion:
		return host + " speaks another version of the protocol: install the same version of tandem on all nodes"
	case Forged:
		return "beats from " + host + " carry a wrong seal: they are damaged on the way, or forged"
	case OtherCluster:
		return host + " is of a cluster with another name: give both nodes the same cluster.name, or take it out of cluster.peers"
	case OwnName:
		return host + " uses the name " + x.name + " too: give each node its own"
	case OwnBoot:
		return host + " has the boot id of this node: it was cloned while running, restart tandem there"
	}
	return ""
}
