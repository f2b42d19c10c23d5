package cluster

import (
	"fmt"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// Journal keeps what is recorded. It must not block, nor change what an entry points to.
type Journal interface{ Record(journal.Entry) }

// turn is what the loop saw and decided at one turn.
type turn struct {
	now     time.Time
	v       election.View
	facts   Facts
	d       election.Decision
	fitness string // why this node is not as fit as can be
	self    selfNow
	peer    func(election.Peer) peerNow
}

// recorder compares each turn with the one before, and records what is new: decisions with their inputs, and events. It belongs to the loop.
type recorder struct {
	to       Journal
	node     string
	priority int
	failover time.Duration
	self     []input[selfNow]
	peer     []input[peerNow]
	last     imprint
	was      seen
	peers    map[string]seenPeer
	begun    bool
}

// seen is what events are made of: what was so at the turn before.
type seen struct {
	holds, quiet, linkUp, leaving bool
	lostAt, lateAt                time.Time
	giving                        election.Giving
	take                          election.Take
	ready, going, released        bool
}

type seenPeer struct {
	state PeerState
	holds bool
	broke time.Time
}

func newRecorder(o Options) *recorder {
	r := &recorder{
		to: o.Journal, node: o.Policy.Name, priority: o.Policy.Priority, failover: o.Policy.Failover,
		self: selfInputs(), peer: peerInputs(), peers: map[string]seenPeer{},
	}
	if r.to == nil {
		r.to = nowhere{}
	}
	return r
}

type nowhere struct{}

func (nowhere) Record(journal.Entry) {}

// record takes in one turn. It is the last thing that a turn does: nothing waits for it.
func (n *Node) record(v election.View, f Facts, d election.Decision, now time.Time) {
	r := n.rec
	t := &turn{now: now, v: v, facts: f, d: d, self: n.selfNow(v.Self, d, now), peer: func(p election.Peer) peerNow { return n.peerNow(p, now) }}
	if f := n.fitness; !f.Fit || f.Rank+f.Reach > 0 {
		t.fitness = n.fitness.Why
	}
	if !r.begun {
		r.begun = true
		r.event(now, "started", "", "this node has started; the newest term that it remembers is %d", v.Self.Newest)
	}
	r.notePeers(n, t)
	r.noteSelf(n, t)
	if p := r.print(t); p != r.last {
		r.last = p
		r.to.Record(journal.Entry{At: now, Decision: &journal.Decision{
			Hold: d.Hold, Term: n.term, Reason: d.Reason, Why: d.Reason.String(), About: d.Peer, HandTo: d.HandTo, Inputs: r.inputs(p, t),
		}})
	}
}

func (r *recorder) move(m journal.Move) { r.to.Record(journal.Entry{At: m.At, Move: &m}) }

func (r *recorder) event(at time.Time, what, peer, format string, args ...any) {
	r.to.Record(journal.Entry{At: at, Event: &journal.Event{What: what, Peer: peer, Text: fmt.Sprintf(format, args...)}})
}

// word records what became of an operator's word: others that were asked for meanwhile are not more of the same.
func (r *recorder) word(at time.Time, what, word, text string) {
	r.to.Record(journal.Entry{At: at, Event: &journal.Event{What: what, Word: word, Text: text}})
}

// notePeers records what happened to the peers.
func (r *recorder) notePeers(n *Node, t *turn) {
	for _, p := range t.v.Peers {
		w := n.watch(p.Name)
		old, is := r.peers[p.Name], seenPeer{n.stateOf(p, t.now), p.Holds, w.askedFor}
		if old.state == "" {
			old.state = PeerUnknown
		}
		r.peers[p.Name] = is
		silence := t.now.Sub(p.HeardAt).Round(time.Millisecond / 10)
		if is.broke.After(old.broke) {
			r.event(t.now, "stream-broke", p.Name, "the stream to %s ended %v after its last beat; that it died is only a guess until its listener refuses", p.Name, silence)
		}
		if is.state != old.state {
			switch is.state {
			case PeerAlive:
				r.event(t.now, "peer-heard", p.Name, "%s is heard", p.Name)
			case PeerSilent:
				r.event(t.now, "peer-silent", p.Name, "%s is silent: no beat for %v", p.Name, silence)
			case PeerCrashed:
				r.event(t.now, "peer-crashed", p.Name, "the process of %s died: its stream ended and its listener refused, %v later", p.Name, t.now.Sub(w.crashedAt).Round(time.Millisecond/10))
			case PeerLeft:
				r.event(t.now, "peer-left", p.Name, "%s said goodbye", p.Name)
			case PeerUnknown:
			}
		}
		switch {
		case is.holds == old.holds:
		case is.holds:
			r.event(t.now, "peer-holds", p.Name, "%s says that it holds, term %d", p.Name, p.Term)
		default:
			r.event(t.now, "peer-let-go", p.Name, "%s says that it holds no more", p.Name)
		}
	}
}

// noteSelf records what happened to this node, and the steps of claims and handovers.
func (r *recorder) noteSelf(n *Node, t *turn) {
	f, now := t.facts, t.now
	is := seen{f.Holds, f.Quiet, f.LinkUp, n.leaving, f.LostAt, n.lateAt, n.giving, n.take, n.ready, n.going, n.released}
	was := r.was
	r.was = is
	switch {
	case is.linkUp == was.linkUp:
	case is.linkUp:
		r.event(now, "link-up", "", "the VIP's link is up")
	default:
		r.event(now, "link-down", "", "the VIP's link is down: %s", f.LinkWhy)
	}
	switch {
	case is.lostAt.After(was.lostAt):
		r.event(now, "gate-lapsed", "", "the gate lapsed: this node did not renew it for %v, and its kernel has silenced it", r.failover)
	case is.lateAt.After(was.lateAt):
		r.event(now, "late", "", "this node did nothing for longer than %v: others may have claimed meanwhile", r.failover)
	}
	if is.leaving && !was.leaving {
		r.event(now, "leaving", "", "this node was asked to stop")
	}
	r.noteHandover(t, was, is)
	switch {
	case is.holds && !was.holds:
		r.event(now, "holds", "", "this node holds and has announced the VIP, term %d", n.term)
	case !is.holds && was.holds && is.quiet:
		r.event(now, "quiet", "", "this node answers IP, but no ARP and ND any more")
	case !is.holds && was.holds:
		r.event(now, "let-go", "", "this node holds no more: %s", n.letGo)
	case is.quiet && !was.quiet:
		r.event(now, "quiet", "", "the VIP is up here and answers IP; ARP and ND wait for the old leader")
	}
}

// noteHandover records the steps of a handover on either side.
func (r *recorder) noteHandover(t *turn, was, is seen) {
	now := t.now
	if is.take.Term != was.take.Term || is.take.From != was.take.From {
		switch {
		case is.take.From != "":
			r.event(now, "ordered", is.take.From, "%s ordered this node to take over, term %d", is.take.From, is.take.Term)
		default:
			r.event(now, "order-cancelled", was.take.From, "%s took its order back", was.take.From)
		}
	}
	if is.released && !was.released {
		r.event(now, "order-go", is.take.From, "%s has fallen silent on ARP and ND for this node to go on", is.take.From)
	}
	switch {
	case is.giving.To != was.giving.To && is.giving.To != "":
		r.event(now, "handing-over", is.giving.To, "ordered %s to take over, term %d", is.giving.To, is.giving.Term)
	case is.giving.To != was.giving.To && t.d.Hold:
		r.event(now, "handover-cancelled", was.giving.To, "the order to %s was cancelled: it did not hold in time", was.giving.To)
	case is.giving.To != was.giving.To:
		r.event(now, "handed-over", was.giving.To, "%s has taken over", was.giving.To)
	}
	if is.ready && !was.ready {
		r.event(now, "peer-ready", is.giving.To, "%s has the VIP up and waits", is.giving.To)
	}
	if is.going && !was.going {
		r.event(now, "going", is.giving.To, "pointed the segment at %s in a moment without requests", is.giving.To)
	}
}
