package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// once tells a story that is about a starved node: there is no excuse in it for failing.
func once(t *testing.T, tell func(*try)) {
	t.Helper()
	a := &try{T: t}
	a.play(tell)
	if a.failed {
		t.Fail()
	}
}

func TestBusyHostIsNeverTwoNorNobody(t *testing.T) {
	once(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for _, n := range s.Nodes {
			s.first(n)
		}
		f := s.fault(s.Hogs(8, -20))
		s.pass(10 * time.Second)
		v := s.Watch.View(s.from, time.Now())
		s.must(f.Heal())
		t.Logf("observer: %s", v)
		s.one(v)
	})
}

// A saturated proxy beside busy loops can still be late once or twice a minute, and then the VIP moves (cluster/pulse/adr/0004). What holds even then: never two, always
// one.
func TestBusyHostUnderLoadIsNeverTwoNorNobody(t *testing.T) {
	once(t, func(t *try) {
		s := start(t, lab.PairConfig{LogLevel: "warn"}) // a line for each request would be a load of its own
		flood, answers := s.Crowd.Flood(netip.AddrPortFrom(s.VIP, lab.PortHTTP), 64)
		hogs := s.fault(s.Hogs(8, -20))
		s.pass(10 * time.Second)
		v := s.Watch.View(s.from, time.Now())
		s.must(hogs.Heal())
		s.must(flood.Heal())
		t.Logf("observer: %s; %d answers", v, answers.Load())
		s.one(v)
	})
}

// one asserts what holds on a host that is busier than anything: never two, and not nobody for long. That nothing moves at all is measured, by
// test/bench/failover.
func (s *scene) one(v lab.View) {
	s.t.Helper()
	if v.Dual.Longest > 100*time.Millisecond || v.None.Longest > 500*time.Millisecond {
		s.t.Errorf("two answered for %v, nobody for %v", v.Dual.Longest, v.None.Longest)
	}
}

// first asserts that nothing on the machine comes before a node: all its threads are at nice -20, and one has real-time priority.
func (s *scene) first(n *lab.Node) {
	s.t.Helper()
	threads, err := n.Procs[0].Threads()
	s.must(err)
	realTime := 0
	for _, th := range threads {
		if th.Policy == 2 {
			realTime++
		}
		if th.Nice != -20 {
			s.t.Errorf("a thread of %s is at nice %d, want -20", n.Name(), th.Nice)
		}
	}
	if realTime == 0 {
		s.t.Errorf("no thread of %s has real-time priority", n.Name())
	}
}
