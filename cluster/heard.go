package cluster

import (
	"fmt"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// ways is how a peer is heard and whose its vote is. The election sees only what they come to; those who ask why must know the rest.
type ways struct {
	mirrored bool                 // its beats come by mirrors and no other way
	deaf     [pulse.MaxPaths]bool // nothing comes from it by that path, of several
	unheard  [pulse.MaxPaths]bool // nothing that this node sends by that path arrives there, as the peer says
	vote     vote
}

// vote is whom a node's vote is granted to, as seen from this node.
type vote uint8

const (
	voteUnknown vote = iota // it has none, or has not said
	voteFree
	voteMine
	voteOthers
)

func (n *Node) voteOf(life uint64) vote {
	switch life {
	case 0:
		return voteFree
	case n.Boot:
		return voteMine
	}
	return voteOthers
}

// waysTo compares what beats said last: ask only about a peer that is heard.
func (n *Node) waysTo(p election.Peer, now time.Time) (w ways) {
	b := n.watch(p.Name).beat
	heard := 0
	for i, s := range b.Paths[:min(len(b.Paths), pulse.MaxPaths)] {
		w.deaf[i] = s.HeardAt.IsZero() || now.Sub(s.HeardAt) >= n.Policy.Failover
		w.unheard[i] = s.DeafFor >= n.Policy.Failover
		if !w.deaf[i] {
			heard++
		}
	}
	w.mirrored = len(b.Paths) > 0 && heard == 0 && !b.MirroredAt.IsZero()
	if len(b.Paths) < 2 {
		w.deaf, w.unheard = [pulse.MaxPaths]bool{}, [pulse.MaxPaths]bool{} // that is told of the peer
	}
	if p.Voter {
		w.vote = n.voteOf(b.Beat.Vote.To)
	}
	return w
}

// selfNow is this node at one turn.
type selfNow struct {
	election.Self
	d       election.Decision
	granted bool // a majority lets it hold
	vote    vote
}

func (n *Node) selfNow(s election.Self, d election.Decision, now time.Time) selfNow {
	is := selfNow{Self: s, d: d}
	if n.Votes != nil {
		is.granted, is.vote = now.Before(s.GrantedTill), n.voteOf(n.Votes.Granting())
	}
	return is
}

// peerNow is a peer at one turn. What a peer that is not heard said last is not what is so.
type peerNow struct {
	election.Peer
	state PeerState
	ways  ways
}

func (p peerNow) alive() bool { return p.state == PeerAlive }

func (n *Node) peerNow(p election.Peer, now time.Time) peerNow {
	return peerNow{p, n.stateOf(p, now), n.waysTo(p, now)}
}

// voteInputs are this node's part in the votes.
func voteInputs() []input[selfNow] {
	return []input[selfNow]{
		{"has the votes of a majority", func(s selfNow) bool { return s.granted }},
		{"asks for votes", func(s selfNow) bool { return s.d.Ask && !s.granted }},
		{"would lead with a majority", func(s selfNow) bool { return s.d.Stands }},
		{"hears no majority of the voters", func(s selfNow) bool { return s.vote != voteUnknown && !s.d.Quorate }},
		{"votes for itself", func(s selfNow) bool { return s.vote == voteMine }},
		{"votes for another", func(s selfNow) bool { return s.vote == voteOthers }},
	}
}

// wayInputs are how a peer is heard, and its part in the votes.
func wayInputs() []input[peerNow] {
	alive := func(ok func(peerNow) bool) func(peerNow) bool {
		return func(p peerNow) bool { return p.alive() && ok(p) }
	}
	in := []input[peerNow]{{"heard only by mirrors", alive(func(p peerNow) bool { return p.ways.mirrored })}}
	for i := range pulse.MaxPaths {
		in = append(in,
			input[peerNow]{fmt.Sprintf("not heard on path %d", i+1), alive(func(p peerNow) bool { return p.ways.deaf[i] })},
			input[peerNow]{fmt.Sprintf("does not hear this node on path %d", i+1), alive(func(p peerNow) bool { return p.ways.unheard[i] })})
	}
	return append(in, []input[peerNow]{
		{"witness", func(p peerNow) bool { return p.Witness }},
		{"votes for this node", alive(func(p peerNow) bool { return p.ways.vote == voteMine })},
		{"votes for another", alive(func(p peerNow) bool { return p.ways.vote == voteOthers })},
		{"has not voted", alive(func(p peerNow) bool { return p.ways.vote == voteFree })},
		{"has other voters", alive(func(p peerNow) bool { return p.Votes && !p.Voter })},
		{"hears no majority of the voters", alive(func(p peerNow) bool { return p.Voter && !p.Quorate })},
		{"would lead with a majority", alive(func(p peerNow) bool { return p.Voter && p.Stands })},
		{"wants this node to lead", alive(func(p peerNow) bool { return p.Voter && p.FavoursMe })},
	}...)
}
