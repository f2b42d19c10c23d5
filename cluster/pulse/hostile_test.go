package pulse_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
)

var addrX = netip.MustParseAddrPort("10.0.0.66:666")

// same fails if a's idea of b has changed, but for what b's silence changes.
func same(t *testing.T, before, after pulse.Snapshot) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	for name, p := range before {
		q := after[name]
		if p.Beat != q.Beat || !p.HeardAt.Equal(q.HeardAt) || !p.ArrivedAt.Equal(q.ArrivedAt) || p.HearsMe != q.HearsMe || p.Addr != q.Addr {
			t.Fatalf("before %+v, after %+v", p, q)
		}
	}
}

// tape runs a pair for a second and returns what each was sent.
func tape(t *testing.T, net *pulsetest.Net) (x, y *node, toA, toB [][]byte) {
	t.Helper()
	net.Record()
	x, y = pair(t, net)
	y.Publish(pulse.Beat{Holds: true, Term: 5})
	settle(time.Second)
	for _, d := range net.Recorded() {
		if d.To == addrA {
			toA = append(toA, d.Data)
		} else {
			toB = append(toB, d.Data)
		}
	}
	return x, y, toA, toB
}

func TestReplayIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y, toA, toB := tape(t, &net)
		y.stop()
		settle(time.Second)
		drained(x)
		before := x.Snapshot()
		for _, d := range append(toA, toB...) {
			net.Inject(d, addrB, addrA)
			settle(time.Millisecond)
		}
		same(t, before, x.Snapshot())
		if drained(x) {
			t.Error("replays poked")
		}
	})
}

func TestReplayFromBeforeOwnRestartIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y, toA, toB := tape(t, &net)
		x.stop()
		y.stop()
		x = start(t, &net, a(11))
		x.Publish(pulse.Beat{})
		settle(time.Second)
		for range 3 {
			for _, d := range append(toA, toB...) {
				net.Inject(d, addrB, addrA)
				settle(time.Millisecond)
			}
		}
		if s := x.Snapshot(); len(s) != 0 || drained(x) {
			t.Errorf("replays were heard: %+v", s)
		}
		// And they are not in the way of the true peer.
		y = start(t, &net, b(12))
		y.Publish(pulse.Beat{Term: 9})
		for range 20 {
			net.Inject(toA[len(toA)-1], addrB, addrA)
			settle(every / 10)
		}
		settle(3 * every)
		if p := x.Snapshot()["b"]; p.Beat.Boot != 12 || p.Beat.Term != 9 {
			t.Errorf("a sees %+v, want the true b", p)
		}
	})
}

func TestReplayFromBeforeThePeersRestartIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y, toA, _ := tape(t, &net)
		// b restarts more often than retired lives are remembered.
		for boot := range uint64(40) {
			y.stop()
			y = start(t, &net, b(100+boot))
			y.Publish(pulse.Beat{})
			settle(5 * every)
			if got := x.Snapshot()["b"].Beat.Boot; got != 100+boot {
				t.Fatalf("a sees boot %d, want %d", got, 100+boot)
			}
		}
		y.stop()
		settle(time.Second)
		drained(x)
		before := x.Snapshot()
		for range 2 {
			for _, d := range toA {
				net.Inject(d, addrB, addrA)
				settle(time.Millisecond)
			}
		}
		same(t, before, x.Snapshot())
		if drained(x) {
			t.Error("replays poked")
		}
	})
}

func TestForeignDatagramsChangeNothingAndAreToldApart(t *testing.T) {
	otherKey := bytes.Repeat([]byte{8}, 32)
	tests := []struct {
		name  string
		cfg   func(*pulse.Config)
		bend  func([]byte) []byte
		cause pulse.Cause
		log   string
	}{
		{name: "other key", cfg: func(c *pulse.Config) { c.Key = otherKey }, cause: pulse.OtherKey, log: "another key"},
		{name: "no key", cfg: func(c *pulse.Config) { c.Key = nil }, cause: pulse.NoKey, log: "insecure"},
		{name: "other cluster", cfg: func(c *pulse.Config) { c.Cluster = "x" }, cause: pulse.OtherCluster, log: "another name"},
		{name: "own name", cfg: func(c *pulse.Config) { c.Node = "a" }, cause: pulse.OwnName, log: "has this node's name"},
		{name: "own boot", cfg: func(c *pulse.Config) { c.Boot = 1 }, cause: pulse.OwnBoot, log: "boot id"},
		{name: "version", bend: func(d []byte) []byte { d[4]++; return d }, cause: pulse.OtherVersion, log: "another version"},
		{name: "forged", bend: func(d []byte) []byte { d[20] ^= 1; return d }, cause: pulse.Forged, log: "seal is wrong"},
		{name: "truncated", bend: func(d []byte) []byte { return d[:len(d)-1] }, cause: pulse.Malformed, log: "no beats"},
		{name: "oversized", bend: func(d []byte) []byte { return append(d, make([]byte, 3000)...) }, cause: pulse.Oversized, log: "no beats"},
		{name: "empty", bend: func([]byte) []byte { return nil }, cause: pulse.Malformed, log: "no beats"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var net pulsetest.Net
				x := start(t, &net, a(1))
				x.Publish(pulse.Beat{})
				cfg := b(2)
				if tt.cfg != nil {
					tt.cfg(&cfg)
				}
				if tt.bend != nil {
					cfg.Peers = []netip.AddrPort{addrX} // they come to a only bent
					net.Record()
				}
				y := start(t, &net, cfg)
				y.Publish(pulse.Beat{})
				settle(10 * every)
				for _, d := range net.Recorded() {
					if tt.bend != nil && d.To == addrX {
						net.Inject(tt.bend(d.Data), addrB, addrA)
					}
				}
				settle(5 * time.Second)
				if s := x.Snapshot(); len(s) != 0 || drained(x) {
					t.Errorf("heard: %+v", s)
				}
				if x.Stats().By[tt.cause] == 0 {
					t.Errorf("not counted: %+v", x.Stats())
				}
				x.stop() // the log is complete, and no longer written
				if got := strings.Count(x.log.String(), tt.log); got != 1 {
					t.Errorf("%q was logged %d times, want once:\n%s", tt.log, got, x.log)
				}
			})
		})
	}
}

func TestOwnBeatsThatComeBackAreIgnoredQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		cfg := a(1)
		cfg.Peers = []netip.AddrPort{addrA}
		x := start(t, &net, cfg)
		x.Publish(pulse.Beat{})
		settle(time.Second)
		if s := x.Stats(); len(x.Snapshot()) != 0 || s.By[pulse.Mirrored] < 90 {
			t.Errorf("snapshot %+v, stats %+v", x.Snapshot(), s)
		}
		x.stop()
		if strings.Contains(x.log.String(), "WARN") {
			t.Errorf("log:\n%s", x.log)
		}
	})
}

func TestOneNodeTooManyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		cfg := a(1)
		cfg.Peers = nil
		for i := range 16 {
			cfg.Peers = append(cfg.Peers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 7947))
		}
		x := start(t, &net, cfg)
		x.Publish(pulse.Beat{})
		for i, addr := range append(cfg.Peers, addrX) {
			y := start(t, &net, pulse.Config{
				Node: string(rune('b' + i)), Boot: uint64(2 + i), Bind: addr, Peers: []netip.AddrPort{addrA}, Key: key,
			})
			y.Publish(pulse.Beat{})
			settle(5 * every)
		}
		if n, c := len(x.Snapshot()), x.Stats().By[pulse.Crowded]; n != 16 || c == 0 {
			t.Errorf("%d peers, %d refused, want 16 and some", n, c)
		}
	})
}

func TestFloodDoesNotStopTheBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y, toA, _ := tape(t, &net)
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			for range 3000 {
				d := bytes.Clone(toA[r.IntN(len(toA))])
				if r.IntN(2) == 0 {
					d[r.IntN(len(d))] ^= 1
				}
				net.Inject(d, addrX, addrA)
			}
			settle(every)
		}
		if s := silence(y, "a"); s > 2*every {
			t.Errorf("a, flooded, silent for %s", s)
		}
		if s := silence(x, "b"); s > 10*every {
			t.Errorf("a, flooded, has not heard b for %s", s)
		}
	})
}
