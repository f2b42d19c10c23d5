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
