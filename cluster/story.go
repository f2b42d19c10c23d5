package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

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
	n.followWire(v.Wire, now)
	n.followHolder(v, f, now)
	o := n.told
	if (d.Hold != o.Hold || d.Reason != o.Reason || d.Peer != o.Peer) && !n.looking(d, now) {
		n.told = d
		log.Info("decided", "hold", d.Hold, "term", d.Term, "reason", d.Reason.String())
	}
	if d.Hold && !n.decided.Hold {
		n.claim = n.beginClaim(v, d, now)
	}
	if !d.Hold && n.decided.Hold {
		n.letGo = d.Reason
	}
	up := f.Holds
	if up == n.held {
		return
	}
	n.held, n.heldSince = up, now
	if up {
		n.tellMove(v, f, now)
		return
	}
	why := n.letGo
	if d.Hold { // still wanted: a leader that hands over has fallen silent
		why = d.Reason
	}
	n.log.Info("no longer holds", "term", n.term, "reason", why.String())
}

// looking reports whether the link has not been looked at yet, just after the start: that it is not up then is no news.
func (n *Node) looking(d election.Decision, now time.Time) bool {
	return d.Reason == election.ReasonLinkDown && n.told.Reason == "" && now.Sub(n.started) < n.Policy.Settle/2
}

// tellMove tells in one line what happened when this node has come to hold: to somebody who was not there.
func (n *Node) tellMove(v election.View, f Facts, now time.Time) {
	m := n.move(v, f, now)
	account := []any{
		"vip", n.VIPs, "from", m.From, "to", m.To, "term", m.Term, "cause", m.Cause, "noticed", m.Noticed, "steps", inWords(m.Steps), "took", m.Took,
		"blackout", m.Blackout, "nobody", m.Nobody, "dual", m.Dual,
	}
	switch m.Kind {
	case journal.First:
		n.log.Info("took over", "vip", n.VIPs, "term", m.Term, "reason", m.Reason.String(), "steps", inWords(m.Steps), "took", m.Took)
	case journal.Handover:
		n.log.Info("took over by handover", account...)
	case journal.Failover:
		n.log.Info("took over after a failure", account...)
	}
	n.rec.move(m)
	n.failovers = append(n.failovers, m)
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
	w.goneAt = time.Time{}
	if is != PeerAlive {
		w.goneAt = now
	}
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
