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

// The link of the last holder flaps for less than anybody's patience. Its first beat after that says that it has heard nobody for a while, which is no
// sign of deafness yet. Found by test/sim: two of three claimed in the same millisecond.
func TestCandidateBackFromAFlapIsNotDeafAtOnce(t *testing.T) {
	p := election.Policy{Name: "lb2", Priority: 100, Settle: time.Second}
	lb3 := election.Peer{Name: "lb3", Fit: true, HearsMe: true, HearsOthers: true, Newest: 2}
	v := election.View{Self: election.Self{Started: start.Add(-time.Hour), LinkUp: true, Fit: true, Newest: 2}, Expected: 2}
	look := func(after time.Duration, lb1 election.Peer) election.Decision {
		lb1.Name, lb1.Fit, lb1.Term, lb1.Newest, lb1.HeardAt = "lb1", true, 2, 2, start.Add(after)
		lb3.HeardAt = lb1.HeardAt
		v.Peers = []election.Peer{lb1, lb3}
		d := election.Decide(p, v, start.Add(after))
		v.Memo = d.Memo
		return d
	}
	for after := time.Duration(0); after < 100*time.Millisecond; after += 10 * time.Millisecond {
		look(after, election.Peer{Holds: true, HearsMe: true, HearsOthers: true})
	}
	back := 255 * time.Millisecond
	if d := look(back, election.Peer{DeafFor: 156 * time.Millisecond}); d.Hold {
		t.Error("claimed beside the last holder, whose link has just come back")
	}
	if d := look(back+25*time.Millisecond, election.Peer{DeafFor: 181 * time.Millisecond}); !d.Hold {
		t.Errorf("did not claim beside a peer that has been deaf for long: %s", d.Reason)
	}
}

// Two nodes can hear a leader that a third one does not hear. It lets go for that one, and says so: the second one need not wait for it.
func TestNobodyWaitsForACandidateThatYields(t *testing.T) {
	p := election.Policy{Name: "lb2", Priority: 100, Settle: time.Second}
	lb1 := election.Peer{Name: "lb1", HeardAt: start, Fit: true, HearsMe: true, HearsOthers: true, Term: 2, Newest: 2}
	lb3 := election.Peer{Name: "lb3", HeardAt: start, Fit: true, HearsMe: true, HearsOthers: true, Newest: 2}
	v := election.View{Self: election.Self{Started: start.Add(-time.Hour), LinkUp: true, Fit: true, Newest: 2}, Expected: 2, Peers: []election.Peer{lb1, lb3}}
	v.Peers[0].Holds = true
	v.Memo = election.Decide(p, v, start.Add(-time.Millisecond)).Memo
	v.Peers[0].Holds = false
	if d := election.Decide(p, v, start); d.Hold {
		t.Error("claimed at once beside the last holder, which may reclaim")
	}
	v.Peers[0].Yields = true
	if d := election.Decide(p, v, start); !d.Hold {
		t.Errorf("did not claim beside the last holder, which leaves the claim to another: %s", d.Reason)
	}
	v.Self.Wish, v.Self.WishAt, v.Self.Holds, v.Self.Term = true, start.Add(-time.Minute), true, 2
	v.Peers = []election.Peer{{Name: "lb3", HeardAt: start, Fit: true, HearsOthers: true, DeafFor: 190 * time.Millisecond}}
	v.Memo = election.Decide(p, v, start).Memo
	v.Peers[0].HeardAt = start.Add(30 * time.Millisecond)
	if d := election.Decide(p, v, start.Add(30*time.Millisecond)); d.Hold || !d.Yields {
		t.Errorf("beside a peer that does not hear it a leader decides {hold %v, yields %v}, want to let go and to say so", d.Hold, d.Yields)
	}
}
