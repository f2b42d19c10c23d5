package journal

import (
	"slices"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// Bounds of one entry: what a cluster can have, and a little more. What is beyond them is left out.
const (
	maxPeers = 16
	maxWords = 32
	maxText  = 512 // bytes of each text
)

// Entry is one thing that was decided, noticed, or done: exactly one of Decision, Event and Move is set.
//
// The names in JSON stay the same between versions: the file on disk and `tandem explain --json` have them.
type Entry struct {
	Seq  uint64    `json:"seq"`  // rises with each entry, over restarts too
	Boot string    `json:"boot"` // the start of the daemon that wrote it: another one means that it was restarted in between
	At   time.Time `json:"at"`
	// Count and Last tell of a storm: so often was the same thing repeated after At, for the last time at Last. After a restart Count is a lower bound.
	Count int       `json:"count,omitzero"`
	Last  time.Time `json:"last,omitzero"`

	Decision *Decision `json:"decision,omitempty"`
	Event    *Event    `json:"event,omitempty"`
	Move     *Move     `json:"move,omitempty"`
}

// Decision is what the election decided, and from what.
type Decision struct {
	Hold   bool            `json:"hold"`
	Term   uint64          `json:"term"`            // of the present or last claim
	Reason election.Reason `json:"reason"`          // one word that stays the same
	Why    string          `json:"why"`             // the same in a sentence that can follow "because"
	About  string          `json:"about,omitzero"`  // the peer that the reason is about
	HandTo string          `json:"handto,omitzero"` // the peer that was to take over
	Inputs Inputs          `json:"inputs"`
}

// Inputs are what a decision was made from, in the words in which people are told of it.
type Inputs struct {
	Self  Who      `json:"self"`
	Peers []Who    `json:"peers"`
	Wire  []string `json:"wire"` // what the check of the wire said; empty: it did not run
}

// Who is a node as an input. Only Is and Rank count as a change: the other figures never stand still.
type Who struct {
	Name     string   `json:"name"`
	Is       []string `json:"is"`       // "holds", "fit", "hears this node", …
	HeardMS  float64  `json:"heard_ms"` // how long ago its newest beat had come; -1: never, or this node itself
	Term     uint64   `json:"term"`
	Newest   uint64   `json:"newest,omitzero"` // the newest term that it knows
	Rank     int      `json:"rank,omitzero"`
	Priority int      `json:"priority,omitzero"`
}

// Event is something that this node noticed or did.
type Event struct {
	What string `json:"what"`          // one word that stays the same: "peer-silent"
	Peer string `json:"peer,omitzero"` // whom it is about; empty: this node
	Text string `json:"text"`          // in a sentence
	Word string `json:"word,omitzero"` // of operators: what was asked for and, if it was refused, why
}

// Kind tells planned moves of the VIP from unplanned ones.
type Kind string

// The kinds of moves.
const (
	First    Kind = "first"    // nobody was known to have held before
	Failover Kind = "failover" // the old holder failed, or let go
	Handover Kind = "handover" // planned: the old holder lived and gave
)

// Move is the account of one move of the VIP to this node.
type Move struct {
	At     time.Time       `json:"at"` // when this node held and had announced it
	Kind   Kind            `json:"kind"`
	From   string          `json:"from,omitzero"` // who held before, as far as known; may be this node itself
	To     string          `json:"to"`
	Term   uint64          `json:"term"`
	Reason election.Reason `json:"reason"`
	// Cause says what happened to From, Noticed how and how soon this node knew: in words.
	Cause   string `json:"cause"`
	Noticed string `json:"noticed"`
	Steps   []Step `json:"steps"` // in order
	// Took is from the last sign of From (for a handover: from the order) to At.
	Took Span `json:"took"`
	// Blackout is how long no process served clients; Nobody how long no kernel answered for the VIP on the wire; Dual how long two did.
	// From this node's own knowledge, with what it cannot know as the width of the span.
	Blackout Span `json:"blackout"`
	Nobody   Span `json:"nobody"`
	Dual     Span `json:"dual"`
}

// Step is one part of a move, and how long it took.
type Step struct {
	Name string `json:"name"`
	Took Span   `json:"took"`
}

// same reports whether b tells nothing that a did not tell, but for the time.
func same(a, b *Entry) bool {
	switch {
	case a.Decision != nil && b.Decision != nil:
		x, y := a.Decision, b.Decision
		return x.Hold == y.Hold && x.Reason == y.Reason && x.About == y.About && x.HandTo == y.HandTo && x.Inputs.same(y.Inputs)
	case a.Event != nil && b.Event != nil:
		return a.Event.What == b.Event.What && a.Event.Peer == b.Event.Peer && a.Event.Word == b.Event.Word
	}
	return false // each move is one of its own
}

func (in Inputs) same(o Inputs) bool {
	return in.Self.same(o.Self) && slices.EqualFunc(in.Peers, o.Peers, Who.same) && slices.Equal(in.Wire, o.Wire)
}

func (w Who) same(o Who) bool {
	return w.Name == o.Name && w.Rank == o.Rank && slices.Equal(w.Is, o.Is)
}

// bounded cuts what is beyond the bounds. It does not change what e points to.
func (e Entry) bounded() Entry {
	e.At = e.At.Round(0) // wall clock: the monotonic one means nothing after a restart
	e.Boot = clip(e.Boot)
	switch {
	case e.Decision != nil:
		d := *e.Decision
		d.Reason = election.Reason(clip(string(d.Reason)))
		d.Why, d.About, d.HandTo = clip(d.Why), clip(d.About), clip(d.HandTo)
		d.Inputs.Self = d.Inputs.Self.bounded()
		d.Inputs.Wire = words(d.Inputs.Wire)
		peers := make([]Who, 0, min(len(d.Inputs.Peers), maxPeers))
		for _, p := range d.Inputs.Peers[:cap(peers)] {
			peers = append(peers, p.bounded())
		}
		d.Inputs.Peers = peers
		e.Decision = &d
	case e.Event != nil:
		e.Event = &Event{clip(e.Event.What), clip(e.Event.Peer), clip(e.Event.Text), clip(e.Event.Word)}
	case e.Move != nil:
		m := *e.Move
		m.At = m.At.Round(0)
		m.Kind, m.Reason = Kind(clip(string(m.Kind))), election.Reason(clip(string(m.Reason)))
		m.From, m.To, m.Cause, m.Noticed = clip(m.From), clip(m.To), clip(m.Cause), clip(m.Noticed)
		m.Steps = slices.Clone(m.Steps[:min(len(m.Steps), maxWords)])
		for i := range m.Steps {
			m.Steps[i].Name = clip(m.Steps[i].Name)
		}
		e.Move = &m
	}
	return e
}

func (w Who) bounded() Who {
	w.Name, w.Is = clip(w.Name), words(w.Is)
	return w
}

// words is never nil, so that JSON has lists.
func words(list []string) []string {
	out := make([]string, 0, min(len(list), maxWords))
	for _, s := range list[:cap(out)] {
		out = append(out, clip(s))
	}
	return out
}

func clip(s string) string { return s[:min(len(s), maxText)] }

// sound reports whether e is what a journal writes.
func (e Entry) sound() bool {
	n := 0
	for _, set := range []bool{e.Decision != nil, e.Event != nil, e.Move != nil} {
		if set {
			n++
		}
	}
	return n == 1 && e.Seq > 0 && e.Seq < maxSeq && e.Count >= 0 && !e.At.IsZero()
}
