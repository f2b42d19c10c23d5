package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// claim is the story of the running claim: told in one line when it has become a fact.
type claim struct {
	from   string    // the holder before
	sign   time.Time // its last sign of life, or the order to take over
	at     time.Time // when it was decided
	reason election.Reason
	check  time.Time // when the wire check began
}

// keepFailovers is how many moves of the VIP are remembered.
const keepFailovers = 10

// story logs what changed between the last turn and this one.
func (n *Node) story(v election.View, f Facts, d election.Decision, now time.Time) {
	for _, p := range v.Peers {
		n.tellPeer(p, now)
	}
	log := n.log
	if d.Peer != "" {
		log = log.With("about", d.Peer)
	}
	o := n.told
	if (d.Hold != o.Hold || d.Reason != o.Reason || d.Peer != o.Peer) && !n.looking(d, now) {
		n.told = d
		log.Info("decided", "hold", d.Hold, "term", d.Term, "reason", d.Reason.String())
	}
	if d.Hold && !n.decided.Hold {
		n.claim = n.beginClaim(v, d, now)
	}
	up := f.Holds
	if up == n.held {
		return
	}
	n.held, n.heldSince = up, now
	if up {
		n.tellTakeover(now)
		return
	}
	log.Info("no longer holds", "term", n.term, "reason", d.Reason.String())
}

// looking reports whether the link has not been looked at yet, just after the start: that it is not up then is no news.
func (n *Node) looking(d election.Decision, now time.Time) bool {
	return d.Reason == election.ReasonLinkDown && n.told.Reason == "" && now.Sub(n.started) < n.Policy.Settle/2
}

func (n *Node) beginClaim(v election.View, d election.Decision, now time.Time) claim {
	c := claim{at: now, sign: now, reason: d.Reason, check: v.Wire.Since}
	var newest uint64
	for _, p := range v.Peers {
		if p.Holds && p.Term >= newest {
			newest, c.from = p.Term, p.Name
			if !p.HeardAt.IsZero() {
				c.sign = p.HeardAt
			}
		}
	}
	if v.Self.Take.Term == d.Term && v.Self.Take.Term != 0 {
		c.from, c.sign = v.Self.Take.From, v.Self.Take.At
	}
	return c
}

func (n *Node) tellTakeover(now time.Time) {
	c := n.claim
	took := now.Sub(c.sign)
	log := n.log
	if c.from != "" {
		log = log.With("from", c.from)
	}
	log.Info("took over", "term", n.term, "reason", c.reason.String(),
		"noticed_after", c.at.Sub(c.sign).Round(100*time.Microsecond), "claimed_in", now.Sub(c.at).Round(100*time.Microsecond),
		"took", took.Round(100*time.Microsecond))
	n.failovers = append(n.failovers, Failover{At: now, From: c.from, Term: n.term, Reason: c.reason, Took: took})
	if len(n.failovers) > keepFailovers {
		n.failovers = n.failovers[1:]
	}
}

// tellPeer logs a change of what this node makes of a peer.
func (n *Node) tellPeer(p election.Peer, now time.Time) {
	w := n.watch(p.Name)
	is := n.stateOf(p, now)
	was := w.state
	if was == PeerLeft && is == PeerSilent {
		return // it said goodbye and is on its way back: nothing was lost meanwhile
	}
	if is == was || (is == PeerUnknown && was == "") {
		return
	}
	w.state = is
	silence := now.Sub(p.HeardAt).Round(time.Millisecond)
	switch is {
	case PeerAlive:
		n.log.Info("peer heard", "peer", p.Name, "holds", p.Holds, "term", p.Term, "fit", p.Fit)
	case PeerSilent:
		n.log.Warn("peer silent", "peer", p.Name, "held", p.Holds, "silence", silence, "allowed", n.Policy.Failover)
	case PeerCrashed:
		n.log.Warn("peer crashed", "peer", p.Name, "held", p.Holds, "noticed", "its stream ended and its listener refused", "silence", silence)
	case PeerLeft:
		n.log.Info("peer left", "peer", p.Name, "held", p.Holds)
	}
}
