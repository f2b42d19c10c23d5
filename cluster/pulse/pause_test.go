package pulse_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
)

// After SIGCONT the queue holds beats of a peer that died during the pause. Silence begins with our waking, and the arrival stays what it was.
func TestQueuedBeatsAreAsOldAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		x.port.Freeze(5 * time.Second)
		settle(time.Second)
		died := time.Now()
		y.stop()
		settle(5 * time.Second) // a woke 1 s ago
		p := x.Snapshot()["b"]
		if d := p.ArrivedAt.Sub(died); d > 0 || d < -every {
			t.Errorf("the newest beat arrived %s after the peer died", d)
		}
		if s := time.Since(p.HeardAt); s < 980*time.Millisecond || s > 1020*time.Millisecond {
			t.Errorf("silent for %s, want the 1s since a woke", s)
		}
		total, at := x.Overslept()
		if total < 4900*time.Millisecond || total > 5*time.Second {
			t.Errorf("overslept %s, want 5s", total)
		}
		if d := time.Since(at); d < 980*time.Millisecond || d > 1020*time.Millisecond {
			t.Errorf("overslept %s ago, want 1s", d)
		}
	})
}

// A reader that runs before the beat thread does must not see silence where nobody listened.
func TestReaderThatWakesFirstSeesNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, _ := pair(t, &net)
		net.Cut(func(_, _ netip.AddrPort) bool { return true })
		before := silence(x, "b")
		x.port.Freeze(5 * time.Second)
		settle(3 * time.Second)
		if s := silence(x, "b"); s > before+3*every {
			t.Errorf("silent for %s while nobody listened", s)
		}
		if total, at := x.Overslept(); total < 2900*time.Millisecond || !at.Equal(time.Now()) {
			t.Errorf("overslept %s at %s, want 3s and now", total, at)
		}
		settle(3 * time.Second)
		if s := silence(x, "b"); s < 950*time.Millisecond || s > 1050*time.Millisecond {
			t.Errorf("silent for %s, want 1s of listening", s)
		}
	})
}

func TestSilenceIsRealWhenTheThreadHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, _ := pair(t, &net)
		x.stop()
		settle(3 * time.Second)
		if s := silence(x, "b"); s < 2900*time.Millisecond {
			t.Errorf("silent for %s after the end, want 3s", s)
		}
	})
}

// Steps of the wall clock, either way and in or out of a pause, move nothing.
func TestWallClockStepsDoNotMatter(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, -time.Second, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var net pulsetest.Net
			x, y := pair(t, &net)
			for range 5 {
				net.StepClock(step)
				for range 10 {
					settle(every)
					if s := silence(x, "b"); s < 0 || s > 2*every {
						t.Fatalf("step %s: silent for %s", step, s)
					}
				}
			}
			x.port.Freeze(time.Second)
			settle(500 * time.Millisecond)
			died := time.Now()
			y.stop()
			net.StepClock(step)
			settle(500*time.Millisecond + 5*every)
			if p := x.Snapshot()["b"]; p.ArrivedAt.After(died.Add(every)) && step < 0 {
				t.Errorf("step %s in a pause: the last beat arrived %s after the peer died", step, p.ArrivedAt.Sub(died))
			}
		})
	}
}

func TestDatagramsOfAnotherPathCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, _ := pair(t, &net)
		net.Record()
		net.Cut(func(_, to netip.AddrPort) bool { return to == addrA })
		settle(time.Second)
		for _, d := range net.Recorded() {
			if d.To == addrA {
				x.Receive(d.Data, netip.AddrPort{}, time.Now())
				synctest.Wait()
			}
		}
		if s := silence(x, "b"); s > every {
			t.Errorf("b silent for %s, though its beats came by another path", s)
		}
		if p := x.Snapshot()["b"]; p.Addr != addrB {
			t.Errorf("the other path changed the peer's address to %s", p.Addr)
		}
		x.port.Freeze(time.Second)
		settle(2 * every)
		for range 1000 {
			x.Receive(make([]byte, 70000), netip.AddrPort{}, time.Now())
		}
		if x.Stats().Overrun == 0 {
			t.Error("1000 datagrams at once, and none was dropped")
		}
	})
}

func TestTheFactsOfAPausedNodeAreSentWhenItWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		y.port.Freeze(time.Second)
		settle(100 * time.Millisecond)
		y.Publish(pulse.Beat{Late: true})
		settle(900*time.Millisecond + every)
		if !x.Snapshot()["b"].Beat.Late {
			t.Error("a second after, a does not know that b was late")
		}
		if p := x.Snapshot()["b"]; !p.HearsMe || p.DeafFor > 3*every {
			t.Errorf("b calls a silent for its own pause: %+v", p)
		}
	})
}
