package pulse_test

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
)

const (
	every    = 10 * time.Millisecond
	failover = 200 * time.Millisecond
)

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:7947")
	addrB = netip.MustParseAddrPort("10.0.0.2:7947")
	key   = bytes.Repeat([]byte{7}, 32)
)

// node is one pulse under test.
type node struct {
	*pulse.Pulse
	port *pulsetest.Port
	log  *bytes.Buffer
	stop func()
}

// start runs a node until the test, or stop, ends it.
func start(t *testing.T, n *pulsetest.Net, cfg pulse.Config) *node {
	t.Helper()
	var further []netip.AddrPort
	for _, w := range cfg.Paths {
		further = append(further, w.Bind)
	}
	port := n.JoinPaths(cfg.Bind, further...)
	cfg.Transport, cfg.Every, cfg.Failover = port, every, failover
	if cfg.Peers == nil {
		cfg.Peers = []netip.AddrPort{addrA}
		if cfg.Bind == addrA {
			cfg.Peers[0] = addrB
		}
	}
	var log bytes.Buffer
	p, err := pulse.New(cfg, hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stopped := false
	x := &node{Pulse: p, port: port, log: &log, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}}
	t.Cleanup(x.stop)
	return x
}

func a(boot uint64) pulse.Config {
	return pulse.Config{Node: "a", Boot: boot, Bind: addrA, Key: key}
}

func b(boot uint64) pulse.Config {
	return pulse.Config{Node: "b", Boot: boot, Bind: addrB, Key: key}
}

// pair starts a and b, both fit, and lets them meet.
func pair(t *testing.T, n *pulsetest.Net) (x, y *node) {
	t.Helper()
	x, y = start(t, n, a(1)), start(t, n, b(2))
	x.Publish(pulse.Beat{Fit: true})
	y.Publish(pulse.Beat{Fit: true})
	settle(10 * every)
	if !x.Snapshot()["b"].HearsMe || !y.Snapshot()["a"].HearsMe {
		t.Fatalf("a and b have not met: %+v %+v", x.Snapshot(), y.Snapshot())
	}
	return x, y
}

// settle lets time pass and everything come to rest.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// drained takes a pending poke away and reports whether there was one.
func drained(n *node) bool {
	select {
	case <-n.Changed():
		return true
	default:
		return false
	}
}

func silence(n *node, peer string) time.Duration { return time.Since(n.Snapshot()[peer].HeardAt) }

func TestTwoNodesMeetWithinThreeBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x := start(t, &net, a(1))
		x.Publish(pulse.Beat{Fit: true})
		settle(time.Second)
		y := start(t, &net, b(2))
		y.Publish(pulse.Beat{Fit: true, Term: 3})
		settle(3 * every)
		if p := x.Snapshot()["b"]; !p.HearsMe || p.Beat.Term != 3 || p.Beat.Boot != 2 || p.Addr != addrB || !p.Beat.Fit {
			t.Errorf("a sees %+v", p)
		}
		if p := y.Snapshot()["a"]; !p.HearsMe {
			t.Errorf("b sees %+v", p)
		}
		if !drained(x) || !drained(y) {
			t.Error("meeting poked nobody")
		}
	})
}

func TestOrdinaryBeatsWakeNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		drained(x)
		drained(y)
		settle(time.Minute)
		if drained(x) || drained(y) {
			t.Error("a minute of ordinary beats poked")
		}
		if s := silence(x, "b"); s > every {
			t.Errorf("b silent for %s", s)
		}
		if got := y.Stats().Sent; got < 6000 || got > 6100 {
			t.Errorf("%d beats in a minute and a bit, want 6000", got)
		}
	})
}

func TestNewsGoOutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		drained(x)
		settle(every / 2) // between two ticks
		for i, news := range []pulse.Beat{
			{Fit: true, Holds: true}, {Fit: true, Holds: true, Term: 2}, {Term: 2, Holds: true}, {Leaving: true}, {Wants: true}, {Late: true},
		} {
			y.Publish(news)
			settle(2 * time.Millisecond)
			got := x.Snapshot()["b"].Beat
			got.Node, got.Boot, got.Seq = "", 0, 0
			if got != news {
				t.Errorf("after 2 ms a sees %+v, want %+v", got, news)
			}
			if !drained(x) {
				t.Errorf("news %d poked nobody", i)
			}
		}
	})
}

func TestSilenceGrowsAndReturnPokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, _ := pair(t, &net)
		drained(x)
		net.Cut(func(from, _ netip.AddrPort) bool { return from == addrB })
		settle(time.Second)
		if s := silence(x, "b"); s < time.Second-every || s > time.Second+every {
			t.Errorf("silent for %s, want 1s", s)
		}
		if drained(x) {
			t.Error("silence poked")
		}
		net.Cut(nil)
		settle(2 * every)
		if s := silence(x, "b"); s > every || !drained(x) {
			t.Errorf("after the heal: silent for %s, want a poke and none", s)
		}
	})
}

func TestOneWayLossIsKnownToBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, _ := pair(t, &net)
		drained(x)
		net.Cut(func(from, _ netip.AddrPort) bool { return from == addrA }) // b is deaf to a
		settle(failover/2 + 3*every)
		p := x.Snapshot()["b"]
		if p.HearsMe || p.DeafFor < failover/2 || p.DeafFor > failover {
			t.Errorf("a sees %+v, want HearsMe false, DeafFor about %s", p, failover/2)
		}
		if !drained(x) {
			t.Error("the change of HearsMe poked nobody")
		}
		net.Cut(nil)
		settle(3 * every)
		if p := x.Snapshot()["b"]; !p.HearsMe || p.DeafFor > 2*every {
			t.Errorf("after the heal a sees %+v", p)
		}
	})
}

func TestTickThatRefusesSilencesTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		trusted := true // only touched while all is at rest
		x := start(t, &net, a(1))
		cfg := b(2)
		cfg.Tick = func(time.Time) bool { return trusted }
		y := start(t, &net, cfg)
		x.Publish(pulse.Beat{})
		y.Publish(pulse.Beat{})
		settle(time.Second)
		trusted = false
		y.Publish(pulse.Beat{Holds: true})
		settle(time.Second)
		if s := silence(x, "b"); s < 990*time.Millisecond || x.Snapshot()["b"].Beat.Holds {
			t.Errorf("b was heard %s ago: %+v", s, x.Snapshot()["b"])
		}
		if w := y.Stats().Withheld; w < 99 {
			t.Errorf("%d beats withheld, want 100", w)
		}
	})
}

func TestLastWordsAreSentOnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		settle(every / 2)
		y.Publish(pulse.Beat{Leaving: true})
		y.stop()
		synctest.Wait()
		if !x.Snapshot()["b"].Beat.Leaving {
			t.Error("b stopped and a did not hear that it leaves")
		}
	})
}

func TestRestartedPeerIsANewLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y := pair(t, &net)
		y.stop()
		drained(x)
		y = start(t, &net, b(3))
		y.Publish(pulse.Beat{})
		settle(3 * every)
		if p := x.Snapshot()["b"]; p.Beat.Boot != 3 || !p.HearsMe || !drained(x) {
			t.Errorf("a sees %+v, want boot 3", p)
		}
	})
}
