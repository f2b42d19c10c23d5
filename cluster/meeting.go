package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// meeting is a time in which this node and a peer hold and hear of each other.
type meeting struct {
	peer  string // empty: there is none
	since time.Time
	// both is since when both hold, as an earliest and a latest moment: the peer may have claimed while it was not heard.
	earliest, latest time.Time
	self             election.Self // as they stood when both held last
	rival            election.Peer
}

// meet announces again when a rival holder was met and when it has let go: caches on the segment may point to either.
func (n *Node) meet(v election.View, f Facts, now time.Time) {
	q, met := n.rival(v, f, now)
	was := n.meeting
	switch {
	case met && was.peer != q.Name:
		n.meeting = n.beginMeeting(q, now)
		n.log.Warn("two nodes hold the VIP", "node", n.Policy.Name, "peer", q.Name, "term", n.term, "stays", n.wish)
		n.rec.event(now, "meeting", q.Name, "%s and this node both hold", q.Name)
	case !met && was.peer != "":
		n.endMeeting(v, f, now)
	}
	if met {
		n.meeting.self, n.meeting.rival = v.Self, q
	}
	if met != (was.peer != "") && n.wish {
		n.VIP.Announce("two nodes held the VIP")
	}
}

// reunite announces when a peer is heard that was not: the frames of this node may have got nowhere meanwhile, its announcements among them, without
// anybody having noticed. Clients then still go where the VIP was before.
func (n *Node) reunite(v election.View, now time.Time) {
	for _, p := range v.Peers {
		w := n.watch(p.Name)
		was := w.near
		w.near = n.stateOf(p, now) == PeerAlive
		if w.near && !was && n.wish {
			n.VIP.Announce("a peer is heard that was not")
		}
	}
}

// rival is a peer that holds beside this node, without an order on either side.
func (n *Node) rival(v election.View, f Facts, now time.Time) (election.Peer, bool) {
	if !f.Holds || n.giving.To != "" {
		return election.Peer{}, false
	}
	for _, p := range v.Peers {
		ordered := p.Name == n.take.From && n.take.Term == n.term // it lets go as soon as it hears that this node holds
		if p.Holds && !ordered && !p.Crashed && !p.Left && now.Sub(p.HeardAt) < n.Policy.Failover {
			return p, true
		}
	}
	return election.Peer{}, false
}

func (n *Node) beginMeeting(q election.Peer, now time.Time) meeting {
	w := n.watch(q.Name)
	m := meeting{peer: q.Name, since: now, earliest: n.heldSince, latest: n.heldSince}
	if w.freeAt.After(m.earliest) {
		m.earliest = w.freeAt
	}
	if w.heldSince.After(m.latest) {
		m.latest = w.heldSince
	}
	return m
}

// endMeeting tells how long both held, who let go, and why.
func (n *Node) endMeeting(v election.View, f Facts, now time.Time) {
	m := n.meeting
	n.meeting = meeting{}
	loser, why := m.peer, n.whyItLetGo(m, v, now)
	if !f.Holds {
		loser, why = n.Policy.Name, n.letGo.String()
	}
	dual := journal.Between(now.Sub(m.latest), now.Sub(m.earliest))
	n.log.Warn("one node holds the VIP again", "peer", m.peer, "holds", f.Holds, "let_go", loser, "reason", why, "dual", dual,
		"met", now.Sub(m.since).Round(time.Millisecond/10))
	n.rec.event(now, "meeting-over", m.peer, "%s let go, since %s; %s and this node had both held for %s, and known of it for %s",
		loser, why, m.peer, dual, journal.Exactly(now.Sub(m.since)))
}

// whyItLetGo is the election's order between two holders, seen from the one that had to let go.
func (n *Node) whyItLetGo(m meeting, v election.View, now time.Time) string {
	for _, p := range v.Peers {
		if p.Name != m.peer {
			continue
		}
		switch s := n.stateOf(p, now); {
		case s != PeerAlive:
			return "it is " + string(s)
		case p.Late:
			return election.ReasonLate.String()
		case p.Leaving:
			return "it is stopping"
		case !p.Fit:
			return "it is unfit, or its link is down"
		}
	}
	self, q := m.self, m.rival
	switch {
	case self.Served != q.Served:
		return election.ReasonLostServed.String()
	case self.Term != q.Term:
		return election.ReasonLostTerm.String()
	case n.Policy.Priority != q.Priority:
		return election.ReasonLostPriority.String()
	}
	return election.ReasonLostName.String()
}
