package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// asking is a word on its way.
type asking struct {
	done bool
	o    Outcome
	err  error
	took time.Duration
}

// ask gives a node a word, and lets at most d pass for the answer.
func (h *host) ask(d time.Duration, words ...Word) []*asking {
	h.w.t.Helper()
	var list []*asking
	for _, w := range words {
		a, began := &asking{}, time.Now()
		list = append(list, a)
		w.By = "uid 0"
		h.w.asks.Go(func() {
			o, err := h.node.Obey(h.w.t.Context(), w)
			h.w.mu.Lock()
			defer h.w.mu.Unlock()
			a.done, a.o, a.err, a.took = true, o, err, time.Since(began)
		})
		h.w.run(time.Millisecond)
	}
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		open := false
		h.w.mu.Lock()
		for _, a := range list {
			open = open || !a.done
		}
		h.w.mu.Unlock()
		if !open {
			break
		}
		h.w.run(time.Millisecond)
	}
	return list
}

// done asserts that the word was followed.
func (a *asking) wants(t *testing.T, code, why string) {
	t.Helper()
	r, ok := errors.AsType[*Refusal](a.err)
	switch {
	case !a.done:
		t.Errorf("no answer, want %q", code)
	case code == "" && a.err != nil:
		t.Errorf("refused: %v", a.err)
	case code != "" && (!ok || r.Code != code || !strings.Contains(r.Why, why)):
		t.Errorf("answer %+v, %v; want %q with %q", a.o, a.err, code, why)
	}
}

func TestHandoverReturnsWhenItIsAFact(t *testing.T) {
	for _, at := range []string{"lb1", "lb2"} {
		for _, to := range []string{"", "lb2"} {
			t.Run("asked at "+at+" to "+to, func(t *testing.T) {
				story(t, func(t *testing.T, w *world) {
					a := w.hosts[at].ask(time.Second, Word{Do: Handover, To: to})[0]
					a.wants(t, "", "")
					wantHolder(t, w, "lb2")
					if o := a.o; !o.Moved || o.From != "lb1" || o.To != "lb2" || o.Away > 5*time.Millisecond || o.Took > 100*time.Millisecond || o.Term != w.hosts["lb2"].node.Status().Term {
						t.Errorf("told %+v", o)
					}
					if w.nobody > 2*time.Millisecond || w.dual != 0 {
						t.Errorf("nobody held for %v, two for %v", w.nobody, w.dual)
					}
					w.run(100 * time.Millisecond)
					if s := w.hosts["lb2"].node.Status(); !s.ByHand || s.Reason != election.ReasonByHand || s.Doing != "" {
						t.Errorf("lb2 says %+v, want set by hand", s)
					}
					if s := w.hosts["lb1"].node.Status(); len(s.Peers) != 1 || !s.Peers[0].ByHand || s.Doing != "" {
						t.Errorf("lb1 says of lb2 %+v, want set by hand", s.Peers)
					}
				})
			})
		}
	}
}

func TestAwayIsTheTimeInWhichNobodyAnswers(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.hosts["lb2"].slow = 7 * time.Millisecond // to turn its gate
		w.mu.Unlock()
		a := w.hosts["lb1"].ask(time.Second, Word{Do: Handover})[0]
		a.wants(t, "", "")
		if a.o.Away < w.nobody || a.o.Away > w.nobody+2*time.Millisecond || w.nobody < 5*time.Millisecond {
			t.Errorf("told that the VIP was away for %v, it was for %v", a.o.Away, w.nobody)
		}
	})
}

func TestHandoverOfALoneNodeNamesThePeersThatAreConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "lb1")
		w.options = func(o *Options) { o.Expected, o.Configured = 1, []string{"10.0.0.12:7946"} }
		lb1 := w.start("lb1")
		w.run(3 * time.Second)
		if !lb1.node.Status().Holds {
			t.Fatal("lb1 does not hold")
		}
		const why = "none of cluster.peers (10.0.0.12:7946) has been heard since the start"
		lb1.ask(time.Second, Word{Do: Handover})[0].wants(t, RefusedNoStandby, "there is no standby: "+why)
		lb1.ask(time.Second, Word{Do: Handover, To: "lb2"})[0].wants(t, RefusedUnknown, "lb2 is not a node of this cluster: "+why)
		lb1.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, RefusedLastFit, why)
		w.stop()
		time.Sleep(time.Second)
	})
}

func TestHandoverIsRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct {
		name      string
		to        string
		fault     func(w *world)
		code, why string
	}{
		{"no such node", "lb9", func(*world) {}, RefusedUnknown, "lb9 is not a node of this cluster; its peers: lb2"},
		{"silent", "lb2", func(w *world) { w.hosts["lb2"].hung = true }, RefusedUnfit, "lb2 is silent"},
		{"nobody fit", "", func(w *world) { w.hosts["lb2"].hung = true }, RefusedNoStandby, "no standby could take over: lb2 is silent"},
		{"link down", "", func(w *world) { w.hosts["lb2"].facts.LinkUp = false }, RefusedNoStandby, "lb2 is unfit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *testing.T, w *world) {
				w.mu.Lock()
				c.fault(w)
				w.mu.Unlock()
				w.run(300 * time.Millisecond)
				a := w.hosts["lb1"].ask(time.Second, Word{Do: Handover, To: c.to})[0]
				a.wants(t, c.code, c.why)
				if a.took > 5*time.Millisecond {
					t.Errorf("refused after %v, want at once", a.took)
				}
				w.run(time.Second)
				wantHolder(t, w, "lb1")
				if w.nobody != 0 || w.dual != 0 {
					t.Errorf("nobody held for %v, two for %v", w.nobody, w.dual)
				}
			})
		})
	}
}

// TestHandoverThatFailsHalfWayEndsWithTheOldLeader breaks a handover at each of its steps.
func TestHandoverThatFailsHalfWayEndsWithTheOldLeader(t *testing.T) {
	cut := func(w *world) {
		w.beatsCut[[2]string{"lb1", "lb2"}], w.beatsCut[[2]string{"lb2", "lb1"}] = true, true
	}
	killed := func(w *world) { w.die("lb2") }
	hung := func(w *world) { w.hosts["lb2"].hung = true }
	for _, c := range []struct {
		name   string
		after  string // the message after which it happens
		fault  func(w *world)
		nobody time.Duration // how long nobody may answer
	}{
		{"dies after Take", "Take", killed, 0},
		{"dies after Ready", "Ready", killed, 20 * time.Millisecond},
		{"dies after Go", "Go", killed, 20 * time.Millisecond},
		{"hangs after Take", "Take", hung, 0},
		{"hangs after Ready", "Ready", hung, 210 * time.Millisecond},
		{"hangs after Go", "Go", hung, 210 * time.Millisecond},
		{"cut off after Take", "Take", cut, 0},
		{"cut off after Ready", "Ready", cut, 210 * time.Millisecond},
		{"its VIP does not come up", "Take", func(w *world) { w.hosts["lb2"].deaf = errors.New("no") }, 0},
		{"the order is lost", "before", func(w *world) { w.mislaid = true }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *testing.T, w *world) {
				w.mu.Lock()
				if c.after == "before" {
					c.fault(w)
				}
				w.after = func(kind string) {
					if kind == c.after {
						w.after = nil
						c.fault(w)
					}
				}
				w.mu.Unlock()
				a := w.hosts["lb1"].ask(time.Second, Word{Do: Handover, To: "lb2"})[0]
				a.wants(t, FailedCancelled, "lb1 leads on, with term")
				w.mu.Lock()
				clear(w.beatsCut)
				w.hosts["lb2"].deaf, w.mislaid = nil, false
				w.mu.Unlock()
				w.run(50 * time.Millisecond)
				wantHolder(t, w, "lb1")
				if w.nobody > c.nobody {
					t.Errorf("nobody answered for %v, want at most %v", w.nobody, c.nobody)
				}
				w.run(time.Second)
				wantHolder(t, w, "lb1")
				if lb1 := w.hosts["lb1"]; lb1.reset != 0 {
					t.Error("clients of the old leader were reset")
				}
				if w.hosts["lb1"].node.Status().Doing != "" {
					t.Errorf("still: %s", w.hosts["lb1"].node.Status().Doing)
				}
			})
		})
	}
}

func TestOfTwoOperatorsTheSecondIsRefused(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.hosts["lb2"].deaf = errors.New("slow")
		w.mu.Unlock()
		as := w.hosts["lb1"].ask(time.Second, Word{Do: Handover}, Word{Do: MaintenanceOn}, Word{Do: Handover, To: "lb2"})
		as[0].wants(t, FailedCancelled, "")
		for _, a := range as[1:] {
			a.wants(t, RefusedBusy, "handover, asked for by uid 0")
			if a.took > 5*time.Millisecond {
				t.Errorf("refused after %v, want at once", a.took)
			}
		}
	})
}

func TestOperatorsAtBothNodes(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.hosts["lb2"].deaf = errors.New("slow")
		w.mu.Unlock()
		first := w.hosts["lb2"].ask(3*time.Millisecond, Word{Do: Handover})[0]
		second := w.hosts["lb1"].ask(time.Second, Word{Do: Handover})[0]
		second.wants(t, RefusedBusy, "handover, asked for by uid 0 on lb2")
		w.run(300 * time.Millisecond)
		first.wants(t, FailedCancelled, "lb1: lb1 leads on")
	})
}

func TestWhoeverGoesAwayLeavesTheHandoverGoingOn(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.mu.Lock()
		w.hosts["lb1"].active = 1 // it waits for a quiet moment
		w.mu.Unlock()
		var err error
		w.asks.Go(func() { _, err = w.hosts["lb1"].node.Obey(ctx, Word{Do: Handover}) })
		w.run(time.Millisecond)
		cancel()
		w.run(50 * time.Millisecond)
		if w.asks.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Obey = %v", err)
		}
		wantHolder(t, w, "lb2")
	})
}

func TestWordIsAnsweredWhenTheNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "lb1")
		h := w.start("lb1")
		w.run(3 * time.Second)
		w.stop()
		if _, err := h.node.Obey(t.Context(), Word{Do: Handover}); err == nil {
			t.Error("a node that has ended followed a word")
		}
		time.Sleep(time.Second)
	})
}

func TestWordThatCannotBePassedOnIsRefused(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.mislaid = true
		w.mu.Unlock()
		a := w.hosts["lb2"].ask(time.Second, Word{Do: Handover})[0]
		a.wants(t, FailedUnanswered, "lb1 leads and could not be asked")
	})
}

func TestLeaderThatDiesWhileItIsAskedIsTold(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.hosts["lb1"].hung, w.hosts["lb1"].stuck = true, true
		w.mu.Unlock()
		a := w.hosts["lb2"].ask(time.Second, Word{Do: Handover})[0]
		a.wants(t, FailedUnanswered, "lb1 was asked to hand over and did not answer")
		w.mu.Lock()
		w.hosts["lb1"].stuck = false
		w.mu.Unlock()
	})
}
