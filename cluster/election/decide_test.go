package election_test

import (
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// start is some moment; no test depends on which.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestLoneNodeClaimsAfterSettlingWhenNobodyAnswers(t *testing.T) {
	p := election.Policy{Name: "lb1", Priority: 100, Settle: time.Second}
	v := election.View{Self: election.Self{Started: start, LinkUp: true, Fit: true}, Expected: 1}
	var claimed time.Duration
	for d := time.Duration(0); d < 2*time.Second; d += time.Millisecond {
		now := start.Add(d)
		e := election.Decide(p, v, now)
		v.Memo = e.Memo
		if e.Check && v.Wire.Since.IsZero() {
			v.Wire.Since = now
		}
		if !v.Wire.Since.IsZero() {
			v.Wire.Probes = int(now.Sub(v.Wire.Since) / (20 * time.Millisecond))
		}
		if e.Hold {
			claimed = d
			break
		}
	}
	if claimed < time.Second || claimed > 1100*time.Millisecond {
		t.Errorf("claimed after %v, want 1 s to 1.1 s", claimed)
	}
}

// A claim that was given up at once leaves a term newer than the leader's. If the leader kept its own, a third node would take
// the silence of the leader for nothing, since the owner of the newest term is heard and does not hold.
func TestLeaderHoldsTheNewestTerm(t *testing.T) {
	p := election.Policy{Name: "lb1", Priority: 100}
	v := election.View{
		Self:     election.Self{Started: start.Add(-time.Hour), LinkUp: true, Fit: true, Wish: true, WishAt: start.Add(-time.Minute), Holds: true, Term: 4, Newest: 5},
		Peers:    []election.Peer{{Name: "lb2", HeardAt: start, Fit: true, HearsMe: true, HearsOthers: true, Term: 5, Newest: 5}},
		Expected: 1,
	}
	if d := election.Decide(p, v, start); !d.Hold || d.Term != 6 {
		t.Errorf("beside a peer that gave up term 5, a leader with term 4 decides {hold %v, term %d}, want to hold term 6", d.Hold, d.Term)
	}
	v.Peers[0].Term, v.Self.Newest = 4, 4
	if d := election.Decide(p, v, start); !d.Hold || d.Term != 4 {
		t.Errorf("beside a peer with an old term, a leader with term 4 decides {hold %v, term %d}, want to hold term 4", d.Hold, d.Term)
	}
}

// Gossip told of a claim before the claimant's beat did: its last beat, from before the claim, is no proof that nobody holds.
// Found by test/sim, when both nodes of a pair start in the same millisecond.
func TestTermOfAnUnknownOwnerIsNotAccountedForByOlderBeats(t *testing.T) {
	p := election.Policy{Name: "lb1", Priority: 100, Settle: time.Second}
	v := election.View{
		Self:     election.Self{Started: start.Add(-time.Second), LinkUp: true, Fit: true, Term: 2, Newest: 4},
		Peers:    []election.Peer{{Name: "lb2", HeardAt: start.Add(-time.Millisecond), Fit: true, HearsMe: true, HearsOthers: true, Term: 3, Newest: 3}},
		Expected: 1,
	}
	d := election.Decide(p, v, start)
	if d.Hold {
		t.Fatal("claimed beside a peer that may have claimed since its last beat")
	}
	v.Memo, v.Peers[0].Newest, v.Peers[0].HeardAt = d.Memo, 4, start.Add(time.Millisecond)
	if d := election.Decide(p, v, start.Add(2*time.Millisecond)); !d.Hold {
		t.Errorf("did not claim beside a peer that knows of the newest term, and does not hold: %s", d.Reason)
	}
}
