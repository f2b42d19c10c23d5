package cluster

import (
	"slices"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// PeerState is what a node makes of a peer.
type PeerState string

// What a node makes of a peer.
const (
	PeerUnknown PeerState = "unknown" // configured or a member, but never heard by beat
	PeerAlive   PeerState = "alive"
	PeerSilent  PeerState = "silent"
	PeerCrashed PeerState = "crashed"
	PeerLeft    PeerState = "left"
)

// Status is a node's view of itself and its peers. It is a copy.
type Status struct {
	Node     string
	Settled  bool
	Hold     bool // the wish
	Holds    bool // the fact
	Quiet    bool // in the middle of a handover
	Since    time.Time
	Term     uint64
	Reason   election.Reason
	About    string // the peer that the reason is about
	Fitness  Fitness
	Link     string // what is wrong with the link; empty: nothing
	Leaving  bool
	Peers    []PeerStatus
	Facts    Facts
	Failover []journal.Move // to this node, newest last
	// Maintenance: an operator keeps this node from leading. ByHand: an operator said that it leads. Doing: what an operator asked for and is under way.
	Maintenance bool
	ByHand      bool
	Doing       string
	Quorum      Quorum
	Rival       string // a peer that holds too, against the rules; empty: none
}

// PeerStatus is what is known of one peer.
type PeerStatus struct {
	election.Peer
	State     PeerState
	HeldSince time.Time // since when it holds, as far as this node has heard
	now       peerNow
}

// Status returns what the loop saw and decided at its last turn.
func (n *Node) Status() Status { return *n.status.Load() }

func (n *Node) report(v election.View, f Facts, d election.Decision, now time.Time) *Status {
	s := &Status{
		Node: n.Policy.Name, Settled: d.Settled, Hold: d.Hold, Holds: f.Holds, Quiet: f.Quiet, Since: n.wishAt,
		Term: n.term, Reason: d.Reason, About: d.Peer, Fitness: n.fitness,
		Leaving: n.leaving, Maintenance: n.maintenance, ByHand: d.ByHand, Rival: n.meeting.peer, Facts: f, Failover: slices.Clone(n.failovers),
		Quorum: n.reportVotes(v.Peers, now),
	}
	if n.op != nil {
		s.Doing = n.op.doing(now)
	}
	if !f.LinkUp {
		s.Link = f.LinkWhy
	}
	if s.Since.IsZero() {
		s.Since = n.started
	}
	for _, p := range v.Peers {
		is := n.peerNow(p, now)
		s.Peers = append(s.Peers, PeerStatus{p, is.state, n.watch(p.Name).heldSince, is})
	}
	return s
}

func (n *Node) stateOf(p election.Peer, now time.Time) PeerState {
	switch {
	case p.Left:
		return PeerLeft
	case p.HeardAt.IsZero():
		return PeerUnknown
	case p.Crashed:
		return PeerCrashed
	case now.Sub(p.HeardAt) >= n.Policy.Failover:
		return PeerSilent
	}
	return PeerAlive
}
