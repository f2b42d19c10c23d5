package election_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// source yields small numbers: from a generator, or from the bytes of a fuzzer.
type source func(n int) int

// anyView is any view at all, likely or not: values are few, so that they meet.
func anyView(pick source, now time.Time) (election.Policy, election.View) {
	flip := func() bool { return pick(2) == 0 }
	when := func() time.Time {
		steps := []time.Duration{-3000, -1050, -1000, -250, -200, -199, -150, -100, -60, -50, -1, 0}
		if i := pick(len(steps) + 1); i < len(steps) {
			return now.Add(steps[i] * time.Millisecond)
		}
		return time.Time{}
	}
	term := func() uint64 {
		if pick(40) == 0 {
			return ^uint64(0)
		}
		return uint64(pick(5))
	}
	name := func() string { return []string{"lb1", "lb2", "lb3", ""}[pick(4)] }
	p := election.Policy{
		Name: "lb1", Priority: 100 + pick(2), Preempt: flip(), PreemptDelay: time.Duration(pick(2)) * 100 * time.Millisecond,
		Failover: time.Duration(pick(2)) * 200 * time.Millisecond, Settle: time.Duration(pick(3)-1) * time.Second,
		Stagger: time.Duration(pick(2)) * 50 * time.Millisecond, Handover: time.Duration(pick(2)) * 50 * time.Millisecond,
	}
	v := election.View{Expected: pick(3)}
	v.Self = election.Self{
		Started: when(), Holds: flip(), Wish: flip(), WishAt: when(), Term: term(), Newest: term(), LinkUp: pick(6) > 0, Fit: pick(6) > 0,
		Rank: pick(2), Reach: pick(2), LateAt: when(), Served: flip(), Leaving: pick(4) == 0, Maintenance: pick(6) == 0,
		Word: election.Word{To: name(), At: when(), ByHand: flip()},
		Take: election.Take{From: name(), Term: term(), At: when(), ByHand: flip()}, Giving: election.Giving{To: name(), Term: term(), At: when()},
	}
	if v.Self.Wish {
		v.Self.Term = max(v.Self.Term, 1) // it has claimed
	}
	for range pick(4) {
		v.Peers = append(v.Peers, election.Peer{
			Name: name(), Member: flip(), HeardAt: when().Add(time.Duration(pick(2)) * time.Millisecond), Crashed: pick(4) == 0, Left: pick(4) == 0, Priority: 100 + pick(2), Holds: flip(),
			Term: term(), Newest: term(), Fit: pick(4) > 0, Rank: pick(2), Reach: pick(2), Wants: flip(), HearsMe: flip(),
			DeafFor: time.Duration(pick(5)) * 50 * time.Millisecond, HearsOthers: flip(), Served: flip(), Late: pick(4) == 0, Yields: pick(4) == 0, Answered: pick(4) == 0,
			Settling: pick(4) == 0, Leaving: pick(4) == 0, Maintenance: pick(6) == 0,
		})
	}
	v.Wire = election.Wire{Since: when(), Probes: pick(5), PeerAt: when(), ForeignAt: when(), Deaf: pick(4) == 0}
	return p, v
}

// feed gives a decision back to the view, as the loop does.
func feed(v election.View, d election.Decision, now time.Time) election.View {
	v.Memo = d.Memo
	if d.Hold != v.Self.Wish {
		v.Self.Wish, v.Self.WishAt = d.Hold, now
	}
	if d.Hold {
		v.Self.Term, v.Self.Newest = d.Term, max(v.Self.Newest, d.Term)
	}
	return v
}

// same compares what a decision makes the node do.
func same(a, b election.Decision) bool {
	return a.Hold == b.Hold && a.Term == b.Term && a.Check == b.Check && a.HandTo == b.HandTo && a.Wants == b.Wants && a.Settled == b.Settled && a.Answered == b.Answered
}

// ordered reports whether a claim follows an order of the leader.
func ordered(d election.Decision) bool {
	return d.Reason == election.ReasonOrdered || d.Reason == election.ReasonByHand
}

// holdsToItsWord checks one view: every view has a decision, and what must be true of each.
func holdsToItsWord(pick source) error {
	now := epoch
	p, v := anyView(pick, now)
	for range pick(4) { // some past, for the memo
		past := now.Add(-time.Duration(1+pick(300)) * time.Millisecond)
		q, u := anyView(pick, past)
		u.Memo = v.Memo
		v.Memo = election.Decide(q, u, past).Memo
	}
	if v.Self.Term == ^uint64(0) || v.Self.Newest == ^uint64(0) {
		election.Decide(p, v, now)
		return nil // no term is newer: nothing can be promised but that there is a decision
	}
	for _, q := range v.Peers {
		if q.Term == ^uint64(0) || q.Newest == ^uint64(0) {
			election.Decide(p, v, now)
			return nil
		}
	}
	before := fmt.Sprintf("%+v", v)
	d := election.Decide(p, v, now)
	if after := fmt.Sprintf("%+v", v); after != before {
		return fmt.Errorf("the view was changed from %s to %s", before, after)
	}
	if e := election.Decide(p, v, now); !reflect.DeepEqual(d, e) {
		return fmt.Errorf("asked twice: %+v, then %+v, for %+v", d, e, v)
	}
	self := v.Self
	switch {
	case d.Hold && (!self.LinkUp || !self.Fit || self.Maintenance):
		return fmt.Errorf("holds without link or fitness, or in maintenance: %+v for %+v", d, v)
	case d.Hold && d.Term == 0, !d.Hold && d.Term != 0:
		return fmt.Errorf("term %d with hold %v", d.Term, d.Hold)
	case d.Hold && self.Wish && d.Term < self.Term:
		return fmt.Errorf("term goes back from %d to %d", self.Term, d.Term)
	case d.Hold && self.Wish && self.LateAt.After(self.WishAt):
		return fmt.Errorf("late, and still holds: %+v for %+v", d, v)
	case d.Hold && !self.Wish && self.Leaving:
		return fmt.Errorf("claims while leaving: %+v for %+v", d, v)
	case d.Hold && !self.Wish && d.Term <= self.Newest && !ordered(d):
		return fmt.Errorf("claims with an old term: %+v for %+v", d, v)
	case d.Hold && !self.Wish && !ordered(d) && rivals(p, v, now, ""), d.Hold && !self.Wish && rivals(p, v, now, self.Take.From):
		return fmt.Errorf("claims beside a holder that it hears: %+v for %+v", d, v)
	case d.Hold && !self.Wish && !onWire(v, d):
		return fmt.Errorf("claims on silence without the wire: %+v for %+v", d, v)
	case d.Hold && !self.Wish && !ordered(d) && now.Sub(self.Started) < p.Settle:
		return fmt.Errorf("claims before it has settled: %+v for %+v", d, v)
	case d.Hold && !self.Wish && slices.ContainsFunc(v.Peers, func(q election.Peer) bool { return q.Name != p.Name && max(q.Term, q.Newest) > d.Term }):
		return fmt.Errorf("claims with an old term: %+v for %+v", d, v)
	case d.HandTo != "" && (!d.Hold || d.HandTerm <= d.Term):
		return fmt.Errorf("hands over what it does not hold, or with an old term: %+v for %+v", d, v)
	case !d.Wake.IsZero() && !d.Wake.After(now):
		return fmt.Errorf("wake in the past: %+v for %+v", d, v)
	case d.Reason == "" || d.Reason.String() == string(d.Reason):
		return fmt.Errorf("reason %q is not in the list", string(d.Reason))
	}
	u := feed(v, d, now)
	e := election.Decide(p, u, now)
	if e.Hold != d.Hold || e.Term != d.Term {
		return fmt.Errorf("with %+v fed back, decides %+v, for %+v", d, e, v)
	}
	// Nothing changes by time alone before Wake.
	u = feed(u, e, now)
	limit := 10 * time.Minute
	if !e.Wake.IsZero() {
		limit = e.Wake.Sub(now)
	}
	later := now.Add(time.Duration(pick(1000)) * limit / 1000)
	if f := election.Decide(p, u, later); !same(e, f) {
		return fmt.Errorf("%+v at once, but after %v, before Wake, %+v, for %+v", e, later.Sub(now), f, u)
	}
	return nil
}

// onWire reports whether a claim has what it needs from the wire: a check since the last lateness, by a node that is not deaf,
// that nobody answered, or only a stranger.
func onWire(v election.View, d election.Decision) bool {
	switch d.Reason {
	case election.ReasonSilence, election.ReasonAlone, election.ReasonUnclaimed, election.ReasonForeign:
		return !v.Wire.Since.IsZero() && !v.Wire.Since.Before(v.Self.LateAt) && !v.Wire.Deaf && (v.Wire.Probes >= 3 || d.Reason == election.ReasonForeign || !v.Wire.ForeignAt.IsZero())
	}
	return true
}

// rivals reports whether a fresh peer holds, other than the one named.
func rivals(p election.Policy, v election.View, now time.Time, but string) bool {
	failover := p.Failover
	if failover == 0 {
		failover = 200 * time.Millisecond
	}
	for _, q := range v.Peers {
		if q.Holds && !q.Crashed && !q.Left && q.Name != p.Name && q.Name != but && !q.HeardAt.IsZero() && now.Sub(q.HeardAt) < failover {
			return true
		}
	}
	return false
}

func TestDecideHoldsToItsWord(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 7))
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	for range n {
		if err := holdsToItsWord(rng.IntN); err != nil {
			t.Fatalf("-seed=%d: %v", *seed, err)
		}
	}
}

// FuzzDecide lets the fuzzer choose the view.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{})                                      // the first of every choice
	f.Add([]byte("\x01\x00\x01\x01\x01\x02\x01\x01"))    // a holder with everything else at its first choice
	f.Add([]byte("two holders, a take and a giving"))    // nothing special
	f.Add([]byte{255, 254, 253, 252, 251, 250, 1, 2, 3}) // the last of every choice
	f.Fuzz(func(t *testing.T, data []byte) {
		i := 0
		pick := func(n int) int {
			if i >= len(data) {
				return 0
			}
			i++
			return int(data[i-1]) % n
		}
		if err := holdsToItsWord(pick); err != nil {
			t.Fatal(err)
		}
	})
}
