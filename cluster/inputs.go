package cluster

import (
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// input is a yes or no that the election looks at, and the word for it where people are told why. The words are the only place that knows what a
// View has: a new input of the election is told by a line in selfInputs or peerInputs.
type input[T any] struct {
	word string
	is   func(T) bool
}

func selfInputs() []input[selfNow] {
	return append([]input[selfNow]{
		{"holds", func(s selfNow) bool { return s.Holds }},
		{"claims", func(s selfNow) bool { return s.Wish && !s.Holds }},
		{"link up", func(s selfNow) bool { return s.LinkUp }},
		{"link down", func(s selfNow) bool { return !s.LinkUp }},
		{"fit", func(s selfNow) bool { return s.Fit }},
		{"unfit", func(s selfNow) bool { return !s.Fit }},
		{"settling", func(s selfNow) bool { return !s.d.Settled }},
		{"let go because it was late", func(s selfNow) bool { return s.d.Late }},
		{"served clients while a peer was silent", func(s selfNow) bool { return s.Served }},
		{"would take over by preemption", func(s selfNow) bool { return s.d.Wants }},
		{"has an order to take over", func(s selfNow) bool { return s.Take.Term > s.Term }},
		{"has ordered a handover", func(s selfNow) bool { return s.Giving.Term > s.Term }},
		{"in maintenance", func(s selfNow) bool { return s.Maintenance }},
		{"stopping", func(s selfNow) bool { return s.Leaving }},
	}, voteInputs()...)
}

func peerInputs() []input[peerNow] {
	is := func(state PeerState) func(peerNow) bool { return func(p peerNow) bool { return p.state == state } }
	alive := func(ok func(peerNow) bool) func(peerNow) bool {
		return func(p peerNow) bool { return p.alive() && ok(p) }
	}
	return append([]input[peerNow]{
		{"heard", is(PeerAlive)},
		{"silent", is(PeerSilent)},
		{"crashed", is(PeerCrashed)},
		{"said goodbye", is(PeerLeft)},
		{"never heard", is(PeerUnknown)},
		{"holds", alive(func(p peerNow) bool { return p.Holds })},
		{"held when it was last heard", func(p peerNow) bool { return !p.alive() && p.Holds }},
		{"fit", alive(func(p peerNow) bool { return p.Fit })},
		{"unfit", alive(func(p peerNow) bool { return !p.Fit })},
		{"does not hear this node", alive(func(p peerNow) bool { return !p.HearsMe })},
		{"hears nobody else", alive(func(p peerNow) bool { return !p.HearsOthers })},
		{"settling", alive(func(p peerNow) bool { return p.Settling })},
		{"let go because it was late", alive(func(p peerNow) bool { return p.Late })},
		{"leaves the claim to one that does not hear it", alive(func(p peerNow) bool { return p.Yields })},
		{"sees an answer on the wire", alive(func(p peerNow) bool { return p.Answered })},
		{"served clients while this node was silent", alive(func(p peerNow) bool { return p.Served })},
		{"would take over by preemption", alive(func(p peerNow) bool { return p.Wants })},
		{"leads by an operator's word", alive(func(p peerNow) bool { return p.ByHand })},
		{"in maintenance", alive(func(p peerNow) bool { return p.Maintenance })},
		{"stopping", alive(func(p peerNow) bool { return p.Leaving })},
		{"no member", func(p peerNow) bool { return !p.Member }},
	}, wayInputs()...)
}

// wireWord says what the check of the wire has come to; empty: it does not run.
func wireWord(w election.Wire, failover time.Duration, now time.Time) string {
	recent := func(at time.Time) bool { return !at.IsZero() && !at.Before(w.Since) && now.Sub(at) < failover }
	switch {
	case w.Since.IsZero():
		return ""
	case w.Deaf:
		return "no third party is heard"
	case w.Probes > 2:
		return "nobody answers"
	case recent(w.PeerAt):
		return w.PeerName + " answers"
	case recent(w.ForeignAt):
		return "a stranger answers (" + w.ForeignMAC + ")"
	}
	return "being checked"
}

// mask is which of the inputs are so: cheap to compare at every turn.
func mask[T any](inputs []input[T], of T) (m uint64) {
	for i, in := range inputs {
		if in.is(of) {
			m |= 1 << i
		}
	}
	return m
}

func words[T any](inputs []input[T], m uint64) []string {
	var out []string
	for i, in := range inputs {
		if m&(1<<i) != 0 {
			out = append(out, in.word)
		}
	}
	return out
}

// maxPrinted is how many peers are compared; further ones count only by what is decided.
const maxPrinted = 16

// imprint is what a decision and its inputs come to: two turns with the same imprint need one entry.
type imprint struct {
	hold                         bool
	reason                       election.Reason
	about, handTo, link, fitness string
	self                         printed
	peers                        [maxPrinted]printed
	wire                         string
}

type printed struct {
	name string
	mask uint64
	rank int
}

func (r *recorder) print(t *turn) imprint {
	v, d := &t.v, &t.d
	p := imprint{hold: d.Hold, reason: d.Reason, about: d.Peer, handTo: d.HandTo, wire: wireWord(v.Wire, r.failover, t.now), fitness: t.fitness}
	if !t.facts.LinkUp {
		p.link = t.facts.LinkWhy
	}
	p.self = printed{"", mask(r.self, t.self), v.Self.Rank + v.Self.Reach}
	for i, q := range v.Peers[:min(len(v.Peers), maxPrinted)] {
		p.peers[i] = printed{q.Name, mask(r.peer, t.peer(q)), q.Rank + q.Reach}
	}
	return p
}

// inputs puts an imprint into words.
func (r *recorder) inputs(p imprint, t *turn) journal.Inputs {
	v := t.v
	in := journal.Inputs{Self: journal.Who{
		Name: r.node, Is: words(r.self, p.self.mask), HeardMS: -1, Term: v.Self.Term, Newest: v.Self.Newest, Rank: v.Self.Rank + v.Self.Reach, Priority: r.priority,
	}}
	for _, why := range []string{p.link, p.fitness} {
		if why != "" && (p.link == "" || why == p.link || !strings.Contains(why, p.link)) {
			in.Self.Is = append(in.Self.Is, why)
		}
	}
	for i, q := range v.Peers[:min(len(v.Peers), maxPrinted)] {
		w := journal.Who{
			Name: q.Name, Is: words(r.peer, p.peers[i].mask), HeardMS: -1, Term: q.Term, Newest: q.Newest, Rank: q.Rank + q.Reach, Priority: q.Priority,
		}
		if !q.HeardAt.IsZero() {
			w.HeardMS = float64(t.now.Sub(q.HeardAt).Microseconds()) / 1000
		}
		in.Peers = append(in.Peers, w)
	}
	if p.wire != "" {
		in.Wire = []string{p.wire}
	}
	return in
}
