package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// pair starts lb1, and a little later lb2, and lets lb1 become the leader.
func pair(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "lb1", "lb2")
	w.start("lb1")
	w.run(10 * time.Millisecond)
	w.start("lb2")
	w.run(3 * time.Second)
	if h := w.holders(); h != "lb1" {
		t.Fatalf("after the start %q answer for the VIP, want lb1", h)
	}
	return w
}

func story(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		f(t, w)
		w.stop()
		time.Sleep(time.Second) // stray timers of contexts
	})
}

func wantHolder(t *testing.T, w *world, want string) {
	t.Helper()
	if h := w.holders(); h != want {
		t.Errorf("%q answer for the VIP, want %q", h, want)
	}
}

func TestStandbyClaimsAtOnceWhenTheLeadersProcessDies(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.kill("lb1")
		w.run(5 * time.Millisecond)
		if !w.hosts["lb2"].answers(time.Now()) {
			t.Error("lb2 does not hold 5 ms after the crash of lb1 was confirmed")
		}
		s := w.hosts["lb2"].node.Status()
		if len(s.Failover) != 1 || s.Failover[0].From != "lb1" {
			t.Errorf("failovers of lb2 = %+v, want one from lb1", s.Failover)
		}
	})
}

func TestBrokenStreamOfALivingLeaderMovesNothing(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		lb2 := w.hosts["lb2"]
		lb2.streams["lb1"] = peerBroke(time.Now())
		poke(lb2.streamed)
		w.mu.Unlock()
		w.run(time.Second)
		wantHolder(t, w, "lb1")
		if lb2.claims != 0 {
			t.Errorf("lb2 claimed %d times, want 0", lb2.claims)
		}
	})
}

func TestLeaderWithAClosedListenerIsNotTakenForDead(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		lb1, lb2 := w.hosts["lb1"], w.hosts["lb2"]
		lb2.rank = 100 // or lb1 would hand over to it
		w.mu.Unlock()
		w.run(50 * time.Millisecond)
		w.mu.Lock()
		lb1.rank, lb1.refuses = 100, true // its listener could not open: it refuses, and lives
		w.mu.Unlock()
		w.run(50 * time.Millisecond)
		w.mu.Lock()
		lb2.streams["lb1"] = peerBroke(time.Now())
		poke(lb2.streamed)
		w.mu.Unlock()
		w.run(8 * time.Millisecond)
		if lb2.claims != 0 {
			t.Errorf("lb2 claimed %d times beside a living leader, want 0", lb2.claims)
		}
	})
}

func TestStandbyClaimsWhenTheLeaderIsCutOff(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.cut[[2]string{"lb1", "lb2"}], w.cut[[2]string{"lb2", "lb1"}] = true, true
		w.mu.Unlock()
		w.run(testFailover + 20*time.Millisecond)
		if w.hosts["lb2"].claims != 1 {
			t.Errorf("lb2 claimed %d times within 220 ms, want once", w.hosts["lb2"].claims)
		}
		w.run(time.Second)
		w.mu.Lock()
		clear(w.cut)
		w.mu.Unlock()
		w.run(25 * time.Millisecond) // a beat each way, and what follows
		before := w.dual
		w.run(time.Second)
		if w.dual != before {
			t.Errorf("two nodes still answered more than 25 ms after the heal, for %v", w.dual-before)
		}
		wantHolder(t, w, "lb2") // the newer claim: the segment points there
	})
}

func TestPathBetweenTheNodesCutWhileARPPassesMovesNothing(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.beatsCut[[2]string{"lb1", "lb2"}], w.beatsCut[[2]string{"lb2", "lb1"}] = true, true
		w.mu.Unlock()
		w.run(10 * time.Second)
		wantHolder(t, w, "lb1")
		if w.dual != 0 || w.hosts["lb2"].claims != 0 {
			t.Errorf("dual for %v, %d claims of lb2, want none", w.dual, w.hosts["lb2"].claims)
		}
	})
}

func TestStandbyThatGoesDeafSaysSoBeforeTheLeaderYields(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		lb2 := w.hosts["lb2"]
		w.cut[[2]string{"lb1", "lb2"}] = true // lb2 hears nobody; all hear lb2
		lb2.facts.OthersKnown, lb2.facts.OthersAt = true, time.Now().Add(9*time.Millisecond)
		w.mu.Unlock()
		w.run(3 * time.Second)
		if w.nobody != 0 || lb2.claims != 0 {
			t.Errorf("nobody answered for %v, lb2 claimed %d times; want never: a deaf node gets nothing", w.nobody, lb2.claims)
		}
		wantHolder(t, w, "lb1")
	})
}

func TestLeaderDoesNotYieldToADeafStandbyThatIsJustHearingAgain(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb2 := w.hosts["lb2"]
		says := func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return lb2.beat.HearsOthers
		}
		w.mu.Lock()
		w.cut[[2]string{"lb1", "lb2"}] = true
		lb2.facts.OthersKnown, lb2.facts.OthersAt = true, time.Now()
		w.mu.Unlock()
		w.run(3 * time.Second)
		w.mu.Lock()
		lb2.others = true // the chatter of others comes through first
		w.mu.Unlock()
		for range 100 {
			if says() {
				break
			}
			w.run(time.Millisecond)
		}
		if !says() {
			t.Fatal("lb2 does not say that it hears others again")
		}
		w.run(2 * time.Millisecond)
		w.mu.Lock()
		clear(w.cut) // and then the leader's next beat, within 10 ms, and the answer to it, within another 10
		w.mu.Unlock()
		w.run(time.Second)
		wantHolder(t, w, "lb1")
		if w.nobody != 0 {
			t.Errorf("nobody answered for %v, want never", w.nobody)
		}
	})
}

func TestLeaderYieldsToAStandbyThatOnlyDoesNotHearIt(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		lb2 := w.hosts["lb2"]
		w.cut[[2]string{"lb1", "lb2"}] = true
		lb2.facts.OthersKnown, lb2.others = true, true
		w.mu.Unlock()
		w.run(time.Second)
		wantHolder(t, w, "lb2")
		if w.dual != 0 {
			t.Errorf("dual for %v, want never", w.dual)
		}
	})
}

func TestLeavingLeaderHandsOverWithoutAGap(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1, lb2 := w.hosts["lb1"], w.hosts["lb2"]
		lb1.cancel()
		w.run(60 * time.Millisecond)
		wantHolder(t, w, "lb2")
		if w.dual != 0 {
			t.Errorf("two nodes answered for %v, want never", w.dual)
		}
		if w.nobody > 2*time.Millisecond {
			t.Errorf("nobody answered for %v, want at most 2 ms", w.nobody)
		}
		if len(lb1.points) != 1 || lb1.points[0] != lb2.mac.String() {
			t.Errorf("lb1 pointed the segment at %v, want once at lb2 (%v)", lb1.points, lb2.mac)
		}
		if lb1.reset != 1 {
			t.Errorf("lb1 reset its clients %d times, want once", lb1.reset)
		}
		select {
		case err := <-lb1.done:
			lb1.done <- err
		default:
			t.Error("lb1 still runs 60 ms after it was asked to stop")
		}
	})
}

func TestHandoverWaitsForAMomentWithoutRequests(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := w.hosts["lb1"]
		w.mu.Lock()
		lb1.active = 1
		w.mu.Unlock()
		lb1.cancel()
		w.run(10 * time.Millisecond)
		wantHolder(t, w, "lb1")
		w.mu.Lock()
		lb1.active = 0
		w.mu.Unlock()
		w.run(5 * time.Millisecond)
		wantHolder(t, w, "lb2")
	})
}

func TestHandoverIsCancelledWhenTheStandbyCannotHold(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1, lb2 := w.hosts["lb1"], w.hosts["lb2"]
		lb2.deaf = errors.New("no")
		lb1.cancel()
		w.run(150 * time.Millisecond)
		wantHolder(t, w, "lb1")
		if w.nobody != 0 {
			t.Errorf("nobody answered for %v, want never: the leader serves until the standby holds", w.nobody)
		}
		w.mu.Lock()
		lb2.deaf = nil
		w.mu.Unlock()
		w.run(time.Second)
		wantHolder(t, w, "lb2")
	})
}

func TestReturningNodeMovesNothing(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.kill("lb1")
		w.run(time.Second)
		<-w.hosts["lb1"].done
		h := w.hosts["lb1"]
		w.mu.Lock()
		h.facts.Holds, h.facts.Quiet, h.heard = false, false, map[string]pulsePeer{}
		w.mu.Unlock()
		w.start("lb1")
		w.run(5 * time.Second)
		wantHolder(t, w, "lb2")
		if w.dual > testFailover {
			t.Errorf("dual for %v", w.dual)
		}
	})
}
