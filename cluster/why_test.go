package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

func TestANodeSaysWhyItIsWhatItIs(t *testing.T) {
	watchedPair(t, func(w *world, _ map[string]*log, _ map[string]*entries) {
		lb1, lb2 := w.hosts["lb1"], w.hosts["lb2"]
		w.run(3 * time.Millisecond)
		var lines []string
		tell := func(what string, h *host) {
			lines = append(lines, what+"\n")
			for _, s := range h.node.Status().Why(h.node.Policy, time.Now()) {
				lines = append(lines, "  "+s+"\n")
			}
		}
		tell("a standby", lb2)
		tell("its leader", lb1)
		w.kill("lb1")
		w.run(500 * time.Millisecond)
		tell("a leader whose peer died", lb2)
		w.mu.Lock()
		lb2.facts.LinkUp, lb2.facts.LinkWhy = false, "no carrier"
		poke(lb2.viped)
		w.mu.Unlock()
		w.run(50 * time.Millisecond)
		tell("without a link", lb2)
		golden(t, "why", lines)
	})
}

func TestEveryReasonNotToHoldIsExplained(t *testing.T) {
	for _, r := range []election.Reason{
		election.ReasonLinkDown, election.ReasonUnfit, election.ReasonLate, election.ReasonLeaving, election.ReasonSettling, election.ReasonPeerHolds,
		election.ReasonHandedOver, election.ReasonLostTerm, election.ReasonUnheard, election.ReasonChecking, election.ReasonDeaf, election.ReasonPathBroken,
		election.ReasonForeignWait, election.ReasonInUse, election.ReasonTelling, election.ReasonBetter, "a-new-one",
	} {
		s := Status{Node: "lb2", Reason: r, About: "lb1", Fitness: Fitness{Fit: true}, Settled: true}
		s.Facts.LinkUp = true
		if out := s.Why(election.Policy{Failover: time.Second}, time.Now()); len(out) < 2 || strings.Contains(strings.Join(out, ""), "%!") {
			t.Errorf("%s: %q", r, out)
		}
	}
}

func TestInputsFitIntoAMask(t *testing.T) {
	if n := max(len(selfInputs()), len(peerInputs())); n > 64 {
		t.Errorf("%d inputs, a mask has 64 bits", n)
	}
}

func TestAQuietTimeWritesNothing(t *testing.T) {
	watchedPair(t, func(w *world, _ map[string]*log, journals map[string]*entries) {
		w.run(2 * time.Second)
		before := map[string]int{}
		for name, j := range journals {
			before[name] = j.count()
		}
		w.run(10 * time.Second)
		for name, j := range journals {
			if n := j.count(); n != before[name] || n == 0 {
				t.Errorf("the journal of %s has %d entries, and %d after ten quiet seconds", name, before[name], n)
			}
		}
	})
}
