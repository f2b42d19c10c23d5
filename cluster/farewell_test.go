package cluster

import (
	"errors"
	"testing"
	"time"
)

// busy hands over from lb1, which has a request in flight all the time, and lets d pass.
func busy(w *world, d time.Duration) *host {
	lb1 := w.hosts["lb1"]
	w.mu.Lock()
	lb1.active = 1
	w.mu.Unlock()
	lb1.ask(d, Word{Do: Handover})
	w.run(d)
	return lb1
}

func (h *host) see() (quiet bool, reset int, closing bool) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.facts.Quiet, h.reset, h.closing
}

func TestRequestsInFlightAreAnsweredAfterAHandover(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := busy(w, 50*time.Millisecond)
		wantHolder(t, w, "lb2")
		if quiet, reset, closing := lb1.see(); !quiet || reset != 0 || !closing {
			t.Errorf("with a request in flight: answers IP %v, reset %d times, asks to come back %v; want it answered", quiet, reset, closing)
		}
		w.mu.Lock()
		lb1.active = 0
		w.mu.Unlock()
		w.run(40 * time.Millisecond)
		if quiet, reset, closing := lb1.see(); quiet || reset != 1 || closing {
			t.Errorf("when it was answered: answers IP %v, reset %d times, asks to come back %v; want the end", quiet, reset, closing)
		}
		if w.dual != 0 || w.nobody > 2*time.Millisecond {
			t.Errorf("two held for %v, nobody for %v", w.dual, w.nobody)
		}
	})
}

func TestFarewellIsBounded(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := busy(w, 50*time.Millisecond+graceWait+resetWait)
		if quiet, reset, _ := lb1.see(); quiet || reset != 1 {
			t.Errorf("answers IP %v, reset %d times; want the end", quiet, reset)
		}
	})
}

func TestLeaderThatClaimsAgainKeepsItsClients(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := busy(w, 50*time.Millisecond)
		wantHolder(t, w, "lb2")
		w.kill("lb2")
		w.run(20 * time.Millisecond)
		w.mu.Lock()
		holds := lb1.facts.Holds
		w.mu.Unlock()
		w.run(time.Second)
		wantHolder(t, w, "lb1")
		if _, reset, closing := lb1.see(); !holds || reset != 0 || closing {
			t.Errorf("holds again %v, reset %d times, asks to come back %v", holds, reset, closing)
		}
	})
}

func TestCancelledHandoverAsksNobodyToComeBack(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.hosts["lb2"].deaf = errors.New("no")
		w.mu.Unlock()
		lb1 := w.hosts["lb1"]
		lb1.ask(time.Second, Word{Do: Handover})[0].wants(t, FailedCancelled, "")
		if _, _, closing := lb1.see(); closing {
			t.Error("answers still ask clients to come back by a new connection")
		}
	})
}

func TestNewLeaderPassesOnWhatBeganAtTheOldOne(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb2 := w.hosts["lb2"]
		after := func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return lb2.wish.After
		}
		busy(w, 50*time.Millisecond)
		wantHolder(t, w, "lb2")
		if got := after(); got != "lb1" {
			t.Errorf("after a handover connections are passed on to %q, want lb1", got)
		}
		w.run(passWait)
		if got := after(); got != "" {
			t.Errorf("when the old leader's time is over they are passed on to %q", got)
		}
		w.hosts["lb2"].ask(50*time.Millisecond, Word{Do: Handover})
		w.kill("lb1")
		w.run(time.Second)
		wantHolder(t, w, "lb2")
		if got := after(); got != "" {
			t.Errorf("after a failover they are passed on to %q", got)
		}
	})
}
