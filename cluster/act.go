package cluster

import (
	"context"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// act makes a decision known: the wish to the VIP, orders and answers to the peers.
func (n *Node) act(ctx context.Context, v election.View, f Facts, d election.Decision, now time.Time) {
	n.story(v, f, d, now)
	n.decided = d
	if d.Hold && d.Term != n.term {
		n.term = d.Term
		n.learn(d.Term)
	}
	if d.Hold != n.wish {
		n.wish, n.wishAt = d.Hold, now
		switch {
		case d.Hold:
			n.keepClients()
		case d.Reason != election.ReasonDeaf: // who hears nobody may hold again before its clients have noticed anything
			n.reset(d.Reason, now) //nolint:contextcheck // what is in flight is waited for, and bounded, whatever ends
		}
	}
	resetting := n.going && n.resetting(now)
	n.give(ctx, d, now)
	quiet := n.going || n.taking(v, now)
	hold := d.Hold || resetting
	n.VIP.Want(Wish{Hold: hold, Term: n.term, Quiet: hold && (quiet || resetting), After: n.after(now), Check: d.Check, Leader: n.leader(v, now), Reason: d.Reason.String()})
	n.silenced(ctx, f)
	n.tellVotes(v, d, now)
	if n.taking(v, now) {
		n.prepared(ctx, f)
	}
	n.meet(v, f, now)
	n.reunite(v, now)
	n.followVacancy(v, f, d, now)
}

// leader names the one peer that is heard to hold; empty: none, or several.
func (n *Node) leader(v election.View, now time.Time) string {
	leader := ""
	for _, p := range v.Peers {
		if !p.Holds || p.Crashed || p.Left || now.Sub(p.HeardAt) >= n.Policy.Failover {
			continue
		}
		if leader != "" {
			return ""
		}
		leader = p.Name
	}
	return leader
}

// publish tells the peers the facts.
func (n *Node) publish(v election.View, f Facts, d election.Decision, now time.Time) {
	holds := f.Holds || (f.Quiet && n.going && d.Hold) // a leader that hands over holds until the other does
	n.Pulse.Publish(pulse.Beat{
		Term: n.term, Newest: n.newest, Priority: uint8(n.Policy.Priority), Rank: uint16(min(v.Self.Rank, 1<<16-1)),
		Slow: uint16(min(n.fitness.Slow, 1<<16-1)), Reach: uint16(min(n.fitness.Reach, 1<<16-1)), Refuses: n.fitness.Refuses,
		Holds: holds, Fit: v.Self.Fit && v.Self.LinkUp && !n.maintenance && !n.Policy.Witness, Wants: d.Wants,
		HearsOthers: n.hearsOthers(v, f, now), Served: v.Self.Served,
		Late: d.Late, Answered: d.Answered, Yields: d.Yields, Settling: !d.Settled, Leaving: n.leaving,
		Maintenance: n.maintenance, ByHand: d.ByHand,
		Witness: n.Policy.Witness, Quorate: d.Quorate, Stands: d.Stands, Vote: n.ballot(d),
	})
	m := n.Meta
	m.Term, m.Holds, m.Fit, m.MACs = n.newest, holds, v.Self.Fit && !n.maintenance && !n.Policy.Witness, f.MACs
	n.Gossip.SetMeta(m)
	s := n.report(v, f, d, now)
	n.status.Store(s)
	if n.Tell != nil {
		n.Tell(*s)
	}
}

// hearsOthers reports whether third parties on the link are heard, as far as there is a reason to doubt it: a peer has fallen silent. What came in
// just after its last beat proves nothing, since this node may have gone deaf in between; from half of the silence budget on the wire check asks them.
func (n *Node) hearsOthers(v election.View, f Facts, now time.Time) bool {
	if !f.OthersKnown {
		return true
	}
	doubt := n.Policy.Failover / 4
	for _, p := range v.Peers {
		if !p.HeardAt.IsZero() && now.Sub(p.HeardAt) > doubt && !f.OthersAt.After(p.HeardAt.Add(doubt)) {
			return false
		}
	}
	return true
}
