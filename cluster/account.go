package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// holder is who held the VIP last, as far as this node knows.
type holder struct {
	name string // empty: nobody was ever known to hold
	sign time.Time
	over time.Time
	// sign is the last sign that it held: the arrival of its newest beat that said so; for this node, the last turn at which it was so.
	// over is the first sign that it did no more: a beat that says so, its goodbye, or the end here; zero: none came.
}

// followHolder keeps n.last: the newest sign that somebody holds, and of its end.
func (n *Node) followHolder(v election.View, f Facts, now time.Time) {
	last := &n.last
	if f.Holds {
		*last = holder{name: n.Policy.Name, sign: now}
		return
	}
	if last.name == n.Policy.Name && last.over.IsZero() {
		last.over = now
	}
	var newest uint64
	for _, p := range v.Peers {
		arrived := n.watch(p.Name).arrivedAt
		switch {
		case p.Crashed || p.HeardAt.IsZero():
		case p.Holds && arrived.After(last.sign) && p.Term >= newest && (p.Name == last.name || !n.alsoHeld(v, now)):
			newest, *last = p.Term, holder{name: p.Name, sign: arrived}
		case p.Name == last.name && !p.Holds && last.over.IsZero():
			last.over = arrived
		}
		if p.Left && p.Name == last.name && last.over.IsZero() {
			last.over = now
		}
	}
}

// alsoHeld reports whether the holder that is followed is heard and still holds: of two, the one with the newer term is followed when they have become one.
func (n *Node) alsoHeld(v election.View, now time.Time) bool {
	for _, p := range v.Peers {
		if p.Name == n.last.name {
			return p.Holds && n.stateOf(p, now) == PeerAlive
		}
	}
	return false
}

// claim is the story of the running claim: told in one line when it has become a fact.
type claim struct {
	reason election.Reason
	at     time.Time // when it was decided
	last   holder    // who held before
	peer   election.Peer
	self   election.Self
	gone   time.Time // when this node knew that last holds no more, or that it is to take over
	broke  time.Time // the end of its stream, if its process died
	// answered is when it last answered on the wire, clear since when nobody does; zero: not asked, or never.
	answered, clear time.Time
	took            Took
}

// beginClaim notes what is known when a claim is decided.
func (n *Node) beginClaim(v election.View, d election.Decision, now time.Time) claim {
	c := claim{reason: d.Reason, at: now, gone: now, last: n.last, self: v.Self, clear: n.clearAt}
	if d.Reason.Ordered() {
		c.last.name, c.gone = v.Self.Take.From, v.Self.Take.At
	}
	for _, p := range v.Peers {
		if p.Name != c.last.name {
			continue
		}
		c.peer = p
		w := n.watch(p.Name)
		switch {
		case d.Reason.Ordered():
		case p.Crashed:
			c.broke = w.crashedAt
			c.gone = w.goneAt
		case !c.last.over.IsZero():
			c.gone = c.last.over
		case !w.goneAt.IsZero():
			c.gone = w.goneAt
		}
		if v.Wire.PeerName == p.Name && v.Wire.PeerAt.After(c.last.sign) {
			c.answered = v.Wire.PeerAt
		}
	}
	if c.last.name == n.Policy.Name && !c.last.over.IsZero() {
		c.gone = c.last.over
	}
	if c.gone.After(now) || c.gone.IsZero() {
		c.gone = now
	}
	return c
}

// followWire keeps since when nobody has answered on the wire.
func (n *Node) followWire(w election.Wire, now time.Time) {
	switch {
	case w.Probes == 0:
		n.clearAt = time.Time{}
	case n.clearAt.IsZero():
		n.clearAt = now
	}
}

// move is the account of a claim that has become a fact.
func (n *Node) move(v election.View, f Facts, now time.Time) journal.Move {
	c := n.claim
	c.took = f.Took
	if i := slices.IndexFunc(v.Peers, func(p election.Peer) bool { return p.Name == c.last.name }); i >= 0 && c.reason.Ordered() {
		c.peer = v.Peers[i] // its order may have been faster than the beat that says why
	}
	m := journal.Move{
		At: now, Kind: journal.Failover, From: c.last.name, To: n.Policy.Name, Term: n.term, Reason: c.reason,
		Cause: c.cause(n.Policy.Name), Noticed: c.noticed(),
	}
	switch {
	case c.reason.Ordered():
		m.Kind = journal.Handover
		m.Steps = c.handoverSteps(n.readyAt, n.goAt, now)
		m.Took = journal.Exactly(now.Sub(c.gone))
		m.Nobody, m.Blackout = n.silence(c, now)
		return m
	case m.From == "":
		m.Kind = journal.First
	}
	m.Steps = c.failoverSteps(now)
	m.Took = c.since(now)
	m.Blackout, m.Nobody, m.Dual = c.spans(n.Policy.Failover, now)
	return m
}

// since is the time from the last sign of the old holder.
func (c claim) since(now time.Time) journal.Span {
	if c.last.name == "" {
		return journal.Exactly(now.Sub(c.at))
	}
	return journal.Exactly(now.Sub(c.last.sign))
}

// spans says for how long clients were not served, nobody answered for the VIP, and two did. The kernel of a dead or hung node answers until its gate
// shuts, one failover time after its last renewal, and the last renewal came just before the last beat, or before its end.
func (c claim) spans(failover time.Duration, now time.Time) (blackout, nobody, dual journal.Span) {
	sign, over, broke := now.Sub(c.last.sign), now.Sub(c.last.over), now.Sub(c.broke)
	switch {
	case c.last.name == "":
		return blackout, nobody, dual
	case !c.broke.IsZero():
		return journal.Between(broke, sign), journal.Between(broke-failover, sign-failover), journal.AtMost(failover - broke)
	case !c.last.over.IsZero():
		s := journal.Between(over, sign)
		return s, s, dual
	case !c.answered.IsZero(): // its daemon hung: its kernel answered up to here, and then no more
		return journal.AtMost(sign), journal.Between(now.Sub(c.clear), now.Sub(c.answered)), dual
	case c.clear.IsZero():
		return journal.AtMost(sign), journal.AtMost(sign), journal.Unknown()
	}
	return journal.AtMost(sign), journal.Between(min(now.Sub(c.clear), sign), sign), journal.Unknown()
}

// silence is how long nobody answered ARP and ND in a handover. Its other end is seen from here only by its word, Go, which came after Ready was sent.
func (n *Node) silence(c claim, now time.Time) (nobody, blackout journal.Span) {
	switch {
	case !n.goAt.IsZero() && !n.readyAt.IsZero():
		return journal.Between(now.Sub(n.goAt), now.Sub(n.readyAt)), blackout // IP was answered by both
	case !c.last.over.IsZero():
		nobody = journal.Between(now.Sub(c.last.over), now.Sub(c.last.sign))
	default:
		nobody = journal.AtMost(now.Sub(c.gone))
	}
	if n.readyAt.IsZero() {
		blackout = nobody
	}
	return nobody, blackout
}

func (c claim) failoverSteps(now time.Time) []journal.Step {
	from := c.last.sign
	switch {
	case !c.broke.IsZero():
		from = c.broke
	case !c.last.over.IsZero():
		from = c.last.over
	case c.last.name == "":
		from = c.gone
	}
	return append([]journal.Step{
		{Name: "noticed", Took: journal.Exactly(c.gone.Sub(from))},
		{Name: "decided", Took: journal.Exactly(c.at.Sub(c.gone))},
	}, c.claimSteps(now.Sub(c.at))...)
}

// claimSteps are those of the keeper, and what else passed until the loop saw the fact.
func (c claim) claimSteps(all time.Duration) []journal.Step {
	t := c.took
	steps := []journal.Step{
		{Name: "address", Took: journal.Exactly(t.Add)}, {Name: "gate", Took: journal.Exactly(t.Gate)}, {Name: "announced", Took: journal.Exactly(t.Announce)},
	}
	if rest := all - t.Add - t.Gate - t.Announce; rest > 100*time.Microsecond {
		steps = append(steps, journal.Step{Name: "waited", Took: journal.Exactly(rest)})
	}
	return steps
}

func (c claim) handoverSteps(ready, went, now time.Time) []journal.Step {
	steps := []journal.Step{{Name: "decided", Took: journal.Exactly(c.at.Sub(c.gone))}}
	if ready.IsZero() || went.IsZero() {
		return append(steps, c.claimSteps(now.Sub(c.at))...)
	}
	return append(steps,
		journal.Step{Name: "address", Took: journal.Exactly(ready.Sub(c.at))},
		journal.Step{Name: "quiet moment", Took: journal.Exactly(went.Sub(ready))},
		journal.Step{Name: "announced", Took: journal.Exactly(now.Sub(went))})
}

// cause says what happened to the old holder.
func (c claim) cause(self string) string {
	from, p := c.last.name, c.peer
	switch {
	case c.reason.Ordered():
		return c.order()
	case from == "":
		return "nobody was known to hold"
	case from == self && c.last.over.IsZero():
		return from + " claimed anew"
	case from == self:
		return from + " had let go itself, and nobody else has claimed since"
	case !c.broke.IsZero():
		return from + "'s process died"
	case p.Left:
		return from + " said goodbye"
	case !c.last.over.IsZero():
		return from + " let go" + because(letGo(p))
	case !c.answered.IsZero():
		return from + " hung: it went silent, and its kernel answered on the wire until its gate shut"
	case c.reason == election.ReasonForeign:
		return from + " went silent, and a stranger answers for the VIP"
	}
	return from + " is gone: neither beats nor answers on the wire (power, cable, switch; or it lives behind a cut, and holds there)"
}

// order says why the leader ordered the handover.
func (c claim) order() string {
	from, p, s := c.last.name, c.peer, c.self
	switch {
	case c.reason == election.ReasonByHand:
		return "an operator moved it from " + from
	case p.Leaving:
		return from + " was asked to stop"
	case p.Maintenance:
		return from + " was put into maintenance"
	case s.Take.ByHand:
		return "an operator asked " + from + " for it"
	case p.Rank+p.Reach > s.Rank+s.Reach:
		return fmt.Sprintf("%s is less fit (unfitness %d, here %d)", from, p.Rank+p.Reach, s.Rank+s.Reach)
	}
	return from + " ordered it"
}

// letGo says why a peer that is heard holds no more, as far as its beat tells.
func letGo(p election.Peer) string {
	switch {
	case p.Leaving:
		return "it was asked to stop"
	case p.Late:
		return "it was late"
	case p.Yields:
		return "another node did not hear it and was about to claim"
	case p.Maintenance:
		return "it was put into maintenance"
	case !p.Fit:
		return "it is unfit, or its link is down"
	}
	return ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// noticed says how this node knew, and how soon.
func (c claim) noticed() string {
	short := func(d time.Duration) string { return journal.Exactly(d).String() }
	switch {
	case c.reason.Ordered():
		return "its order, " + short(c.at.Sub(c.gone)) + " before the claim"
	case c.last.name == "":
		return "nobody was heard to hold"
	case !c.broke.IsZero():
		return "its stream ended, and its listener refused " + short(c.gone.Sub(c.broke)) + " later, " + short(c.gone.Sub(c.last.sign)) + " after its last beat"
	case !c.last.over.IsZero() && c.peer.Left:
		return "its goodbye"
	case !c.last.over.IsZero() && c.peer.Name == c.last.name:
		return "its beat said so"
	case !c.last.over.IsZero():
		return "by itself"
	case !c.answered.IsZero():
		return "no beat for " + short(c.gone.Sub(c.last.sign)) + ", its last answer on the wire " + short(c.answered.Sub(c.last.sign)) + " after its last beat"
	}
	return "no beat for " + short(c.gone.Sub(c.last.sign)) + ", and no answer on the wire"
}

// inWords puts steps into one line.
func inWords(steps []journal.Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Name+" "+s.Took.String())
	}
	return strings.Join(out, ", ")
}
