package pulse_test

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
)

var (
	cableA = netip.MustParseAddrPort("192.168.9.1:7947")
	cableB = netip.MustParseAddrPort("192.168.9.2:7947")
)

// bounced counts the beats that a node wanted to go by mirrors, and delivers them to another while that is possible.
type bounced struct {
	beats atomic.Int64
	now   atomic.Bool // the newest beat was one of them
	to    atomic.Pointer[pulse.Pulse]
}

func (b *bounced) mirror(beat []byte, peers uint16) {
	b.now.Store(peers != 0)
	if peers == 0 {
		return
	}
	b.beats.Add(1)
	if p := b.to.Load(); p != nil {
		p.Receive(beat, addrX, time.Now())
	}
}

// mirrored starts a pair whose beats can go by mirrors.
func mirrored(t *testing.T, n *pulsetest.Net) (x, y *node, fromX, fromY *bounced) {
	t.Helper()
	fromX, fromY = &bounced{}, &bounced{}
	ca, cb := a(1), b(2)
	ca.Mirror, cb.Mirror = fromX.mirror, fromY.mirror
	x, y = start(t, n, ca), start(t, n, cb)
	x.Publish(pulse.Beat{Fit: true})
	y.Publish(pulse.Beat{Fit: true})
	settle(2 * time.Second)
	return x, y, fromX, fromY
}

func TestBeatsGoByMirrorsWhileNoPathWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x, y, fromX, fromY := mirrored(t, &net)
		if fromX.now.Load() || fromY.now.Load() {
			t.Fatal("mirrors are asked though the path works")
		}
		fromX.to.Store(y.Pulse)
		fromY.to.Store(x.Pulse)
		net.Cut(func(_, _ netip.AddrPort) bool { return true })
		settle(failover/2 - 2*every)
		if fromX.now.Load() || fromY.now.Load() {
			t.Error("mirrors are asked before half of the budget is over")
		}
		for range 50 {
			settle(failover / 4)
			if s := silence(x, "b"); s > failover*3/4 {
				t.Fatalf("b was silent for %s", s)
			}
		}
		p := x.Snapshot()["b"]
		if !p.HearsMe || time.Since(p.MirroredAt) > 2*every || time.Since(p.Paths[0].HeardAt) < 2*time.Second || p.Paths[0].DeafFor < 2*time.Second {
			t.Errorf("a sees %+v", p)
		}
		if n := x.Stats().Mirrored; n < 200 {
			t.Errorf("%d beats came by mirrors, want about 250", n)
		}
		net.Cut(nil)
		settle(4 * failover)
		if !fromX.now.Load() {
			t.Error("mirrors are left at once: a path with loss would make them flap")
		}
		settle(2 * failover)
		if fromX.now.Load() || fromY.now.Load() {
			t.Error("mirrors are asked a second after the heal")
		}
	})
}

// One direction is lost: the node that is heard learns from the other's beats that it is not, and goes by mirrors, too.
func TestWhoIsNotHeardGoesByMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		_, y, fromX, _ := mirrored(t, &net)
		fromX.to.Store(y.Pulse)
		net.Cut(func(from, _ netip.AddrPort) bool { return from == addrA })
		settle(failover/2 + 3*every)
		if !fromX.now.Load() {
			t.Error("a does not go by mirrors though b tells it that it does not hear it")
		}
		settle(time.Second)
		if s := silence(y, "a"); s > 3*every {
			t.Errorf("b has not heard a for %s", s)
		}
	})
}

func TestLossMakesMirrorsNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		_, _, fromX, _ := mirrored(t, &net)
		var n atomic.Int64
		net.Cut(func(_, _ netip.AddrPort) bool { return n.Add(1)%5 == 0 }) // 20 %
		for range 100 {
			settle(every)
			if fromX.now.Load() {
				t.Fatal("mirrors are asked on a path that loses a fifth")
			}
		}
	})
}

func TestLosingOneOfTwoPathsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		ca, cb := a(1), b(2)
		ca.Paths = []pulse.Path{{Bind: cableA, Peers: []netip.AddrPort{cableB}}}
		cb.Paths = []pulse.Path{{Bind: cableB, Peers: []netip.AddrPort{cableA}}}
		var from bounced
		ca.Mirror = from.mirror
		x, y := start(t, &net, ca), start(t, &net, cb)
		x.Publish(pulse.Beat{Fit: true})
		y.Publish(pulse.Beat{Fit: true})
		settle(2 * time.Second)
		for path, lost := range []netip.AddrPort{addrA, cableA} {
			net.Record()
			net.Cut(func(f, to netip.AddrPort) bool { return f == lost || to == lost })
			for range 40 {
				settle(failover / 4)
				p := x.Snapshot()["b"]
				if time.Since(p.HeardAt) > 3*every || !p.HearsMe || from.now.Load() {
					t.Fatalf("path %d is lost, and a sees %+v", path, p)
				}
			}
			ps := x.Snapshot()["b"].Paths
			if len(ps) != 2 || time.Since(ps[path].HeardAt) < time.Second || ps[path].DeafFor < time.Second ||
				time.Since(ps[1-path].HeardAt) > 3*every || ps[1-path].DeafFor > 3*every {
				t.Errorf("path %d is lost, and a knows %+v", path, ps)
			}
			// Who plays old beats into the lost path makes it look no better.
			for _, d := range net.Recorded()[:100] {
				if d.To == cableA && path == 1 || d.To == addrA && path == 0 {
					net.Inject(d.Data, d.From, d.To)
				}
			}
			settle(every)
			if at := x.Snapshot()["b"].Paths[path].HeardAt; path == 1 && time.Since(at) < time.Second {
				t.Errorf("a replay was taken for a path that works")
			}
			net.Cut(nil)
			settle(2 * time.Second)
		}
		log := x.log.String()
		if strings.Count(log, "path broken") != 2 || strings.Count(log, "path works again") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// An interface without an address of the peer on a path, as of a witness elsewhere, is not spoken to there.
func TestAPeerMayBeOffAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		ca := a(1)
		ca.Paths = []pulse.Path{{Bind: cableA, Peers: []netip.AddrPort{{}}}}
		net.Record()
		x, y := start(t, &net, ca), start(t, &net, b(2))
		x.Publish(pulse.Beat{Fit: true})
		y.Publish(pulse.Beat{Fit: true})
		settle(time.Second)
		for _, d := range net.Recorded() {
			if d.From == cableA {
				t.Fatalf("a beat went to %s", d.To)
			}
		}
		if strings.Contains(x.log.String(), "path broken") {
			t.Errorf("log:\n%s", x.log)
		}
	})
}
