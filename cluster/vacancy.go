package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// vacantTell is how long nobody may hold before that is told: longer than any failover takes.
const vacantTell = time.Second

// vacancy is a time in which nobody is known to hold.
type vacancy struct {
	since time.Time
	told  bool
	last  holder // who held before
}

// followVacancy tells when nobody holds and nobody takes over, and when that is over. A takeover by this node has its own line.
func (n *Node) followVacancy(v election.View, f Facts, d election.Decision, now time.Time) {
	by := n.heldBy(v, f, d, now)
	o := &n.vacant
	switch {
	case by != "":
		if o.told && by != n.Policy.Name {
			nobody := journal.Exactly(now.Sub(o.since))
			if o.last.name != "" {
				nobody = journal.Between(now.Sub(later(o.last.over, o.last.sign)), now.Sub(o.last.sign))
			}
			n.log.Info("the VIP is held again", n.ofVIP("holder", by, "nobody", nobody)...)
			n.rec.event(now, "held-again", by, "%s holds; nobody had held for %s", by, nobody)
		}
		*o = vacancy{}
	case o.since.IsZero():
		if d.Settled && (!n.Policy.Witness || n.last.name != "") { // to a witness it is no news that its cluster has not started yet
			*o = vacancy{since: now, last: n.last}
		}
	case !o.told && !n.leaving && now.Sub(o.since) >= vacantTell:
		o.told = true
		c := n.beginClaim(v, d, now)
		n.log.Warn("nobody holds the VIP", n.ofVIP("last", o.last.name, "cause", c.cause(n.Policy.Name),
			"reason", d.Reason.String(), "since", now.Sub(o.since).Round(time.Millisecond))...)
		n.rec.event(now, "nobody-holds", o.last.name, "nobody is known to hold: %s; this node does not, since %s", c.cause(n.Policy.Name), d.Reason)
	}
}

// ofVIP puts the addresses before the pairs of a line, if this node knows them: a witness does not.
func (n *Node) ofVIP(pairs ...any) []any {
	if n.VIPs == "" {
		return pairs
	}
	return append([]any{"vip", n.VIPs}, pairs...)
}

// heldBy names who holds: this node, a peer that is heard, or somebody who answers on the wire; empty: nobody is known to.
func (n *Node) heldBy(v election.View, f Facts, d election.Decision, now time.Time) string {
	if f.Holds || f.Quiet {
		return n.Policy.Name
	}
	for _, p := range v.Peers {
		if p.Holds && n.stateOf(p, now) == PeerAlive {
			return p.Name
		}
	}
	if w := v.Wire; d.Reason == election.ReasonPathBroken || d.Reason == election.ReasonForeignWait || d.Reason == election.ReasonInUse {
		if w.PeerName != "" {
			return w.PeerName
		}
		return "somebody"
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
