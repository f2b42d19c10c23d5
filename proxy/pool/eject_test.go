package pool

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

var errBroken = errors.New("broken")

// ejecting is a pool of n backends named a, b, c and so on.
func ejecting(cfg Config, n int) (*Set, *Pool) {
	cfg.Name = "web"
	for i := range n {
		cfg.Backends = append(cfg.Backends, BackendConfig{Name: string(rune('a' + i))})
	}
	s := NewSet([]Config{cfg})
	return s, s.Pool("web")
}

// use ends one use of the named backend with err.
func use(t *testing.T, p *Pool, name string, err error) {
	t.Helper()
	for range 2 * len(p.Backends()) {
		l, e := p.Pick(Request{})
		if e != nil {
			t.Fatal(e)
		}
		if l.Backend().Name() == name {
			if err == nil {
				l.Well()
			}
			l.Done(err)
			return
		}
		l.Done(nil)
	}
	t.Fatalf("%s is not picked", name)
}

func picked(p *Pool) string {
	seen := make(map[string]bool)
	for range 3 * len(p.Backends()) {
		if l, err := p.Pick(Request{}); err == nil {
			seen[l.Backend().Name()] = true
			l.Done(nil)
		}
	}
	var names []string
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

func TestFailuresInARowEjectABackendForGrowingTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := ejecting(Config{}, 3)
		log := &bytes.Buffer{}
		s.SetLogger(hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug}))
		use(t, p, "b", errBroken)
		use(t, p, "b", errBroken)
		use(t, p, "b", nil) // not in a row
		use(t, p, "b", errBroken)
		use(t, p, "b", errBroken)
		if got := picked(p); got != "abc" {
			t.Fatalf("picked %s after two failures in a row, want all", got)
		}
		use(t, p, "b", errBroken)
		failures := 0
		for want := 5 * time.Second; want <= 40*time.Second; want *= 2 {
			if st := s.Snapshot()[0]; !st.Backends[1].Ejected || st.Backends[1].State != Unchecked || st.Available != 2 {
				t.Fatalf("%+v, want b ejected, and not taken for down", st)
			}
			time.Sleep(want - time.Millisecond)
			if got := picked(p); got != "ac" {
				t.Fatalf("picked %s just before %v are over, want a and c", got, want)
			}
			time.Sleep(time.Millisecond)
			if got := picked(p); got != "abc" {
				t.Fatalf("picked %s after %v, want all", got, want)
			}
			use(t, p, "b", errBroken) // one is enough now
			failures++
		}
		if n := strings.Count(log.String(), "backend ejected: pool=web backend=b"); n != failures+1 {
			t.Errorf("told %d times, want %d:\n%s", n, failures+1, log)
		}
		time.Sleep(80 * time.Second)
		use(t, p, "b", nil)
		time.Sleep(80 * time.Second) // well for as long as it was out: all is forgotten
		for range 3 {
			use(t, p, "b", errBroken)
		}
		time.Sleep(5 * time.Second)
		if got := picked(p); got != "abc" {
			t.Errorf("picked %s, want all: b had done well for long", got)
		}
	})
}

func TestEjectionTimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := ejecting(Config{Ejection: Ejection{After: 1, Time: time.Second, MaxTime: 3 * time.Second}}, 2)
		for _, want := range []time.Duration{1, 2, 3, 3} {
			use(t, p, "a", errBroken)
			time.Sleep(want*time.Second - time.Nanosecond)
			if got := picked(p); got != "b" {
				t.Fatalf("picked %s before %ds, want b", got, want)
			}
			time.Sleep(time.Nanosecond)
			if got := picked(p); got != "ab" {
				t.Fatalf("picked %s after %ds, want both", got, want)
			}
		}
	})
}

func TestEjectionLeavesEnoughBackends(t *testing.T) {
	for _, c := range []struct {
		keep int
		want string
	}{{0, "c"}, {2, "bc"}, {3, "abc"}} {
		_, p := ejecting(Config{KeepAtLeast: c.keep, Ejection: Ejection{After: 1}}, 3)
		for _, name := range []string{"a", "b", "c"} {
			if strings.Contains(picked(p), name) {
				use(t, p, name, errBroken)
			}
		}
		if got := picked(p); got != c.want {
			t.Errorf("keep %d: picked %s, want %s", c.keep, got, c.want)
		}
	}
}

func TestEjectionCanBeOff(t *testing.T) {
	_, p := ejecting(Config{Ejection: Ejection{After: -1}}, 2)
	for range 50 {
		use(t, p, "a", errBroken)
	}
	if got := picked(p); got != "ab" {
		t.Errorf("picked %s, want both", got)
	}
}

// What was begun before a backend was ejected and ends after its return says nothing about it as it is now.
func TestOldFailuresDoNotEjectAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := ejecting(Config{}, 2)
		var old []Lease
		for range 10 {
			l, err := p.Pick(Request{})
			if err != nil {
				t.Fatal(err)
			}
			if l.Backend().Name() == "a" {
				old = append(old, l)
			} else {
				l.Done(nil)
			}
		}
		for range 3 {
			use(t, p, "a", errBroken)
		}
		time.Sleep(5 * time.Second)
		if got := picked(p); got != "ab" {
			t.Fatalf("picked %s, want both", got)
		}
		for _, l := range old {
			l.Done(errBroken)
		}
		if got := picked(p); got != "ab" {
			t.Errorf("picked %s, want both", got)
		}
	})
}

func TestSourcesOfAvailabilityAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := ejecting(Config{Ejection: Ejection{After: 1, Time: time.Hour}}, 3)
		see := func(when, want string) {
			t.Helper()
			if got := picked(p); got != want {
				t.Errorf("%s: picked %s, want %s", when, got, want)
			}
		}
		s.SetAdmin("web", "a", Order{Admin: Drain})
		see("drained", "bc")
		s.SetUp("web", "a", true, "fine")
		see("drained and up", "bc")
		s.SetUp("web", "a", false, "refused")
		s.SetAdmin("web", "a", Order{Admin: Ready})
		see("ready, but down", "bc")
		if b := s.Snapshot()[0].Backends[0]; b.Order.Admin != Ready || b.State != Down || b.Reason != "refused" {
			t.Errorf("%+v, want ready and down", b)
		}
		s.SetUp("web", "a", true, "fine")
		see("up", "abc")

		use(t, p, "b", errBroken)
		s.SetUp("web", "b", true, "fine")
		see("ejected, while probes find it well", "ac")
		s.SetUp("web", "b", false, "refused")
		s.SetUp("web", "b", true, "fine")
		see("has been down and is up again", "abc")
		if s.SetAdmin("web", "x", Order{Admin: Drain}) || s.SetAdmin("x", "a", Order{Admin: Drain}) {
			t.Error("an unknown backend was found")
		}
	})
}

// What an operator has taken out is not forced to serve.
func TestPanicSparesWhatOperatorsTookOut(t *testing.T) {
	s, p := ejecting(Config{Panic: 90, KeepAtLeast: 3}, 3)
	s.SetAdmin("web", "a", Order{Admin: Maint})
	s.SetUp("web", "b", false, "refused")
	s.SetUp("web", "c", false, "refused")
	if got := picked(p); got != "bc" {
		t.Errorf("picked %s, want the two that are only down", got)
	}
}

type ending struct{ ended int }

func (e *ending) Reset() { e.ended++ }

func TestMaintEndsSessionsAndDrainDoesNot(t *testing.T) {
	s, p := ejecting(Config{}, 2)
	b, e := p.Backends()[0], &ending{}
	if !b.Attach(e) {
		t.Fatal("not attached")
	}
	s.SetAdmin("web", "a", Order{Admin: Drain})
	if e.ended != 0 || !b.Attach(&ending{}) {
		t.Error("a drained backend's sessions have ended")
	}
	s.SetAdmin("web", "a", Order{Admin: Maint})
	if e.ended != 1 || b.Attach(&ending{}) {
		t.Error("the sessions of a backend in maintenance go on")
	}
}

func TestBudgetOfRepetitions(t *testing.T) {
	_, p := ejecting(Config{}, 2)
	take := func() (n int) {
		for p.Repeat() {
			n++
		}
		for range n {
			p.Repeated()
		}
		return n
	}
	for _, c := range []struct{ active, want int }{{0, 3}, {15, 3}, {20, 4}, {100, 20}} {
		var leases []Lease
		for range c.active {
			l, _ := p.Pick(Request{})
			leases = append(leases, l)
		}
		if got := take(); got != c.want {
			t.Errorf("%d in hand: %d may be repeated, want %d", c.active, got, c.want)
		}
		for _, l := range leases {
			l.Done(nil)
		}
	}
	_, p = ejecting(Config{Retries: Retries{Budget: -1}}, 2)
	if p.Repeat() {
		t.Error("repeated without a budget")
	}
}

// Picks, failures, verdicts and orders at once: the race detector looks on, and in the end all is as the last words say.
func TestEjectionAmongOthers(t *testing.T) {
	s, p := ejecting(Config{Ejection: Ejection{After: 1, Time: time.Microsecond, MaxTime: time.Microsecond}}, 4)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				l, err := p.Pick(Request{})
				if err != nil {
					continue
				}
				if (i+g)%3 == 0 {
					l.Done(errBroken)
					continue
				}
				l.Well()
				l.Done(nil)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			s.SetUp("web", "a", i%2 == 1, fmt.Sprint(i))
			s.SetAdmin("web", "b", Order{Admin: Admin(i % 3), Weight: i % 5})
			s.Snapshot()
		}
		s.SetAdmin("web", "b", Order{Admin: Ready})
	})
	wg.Wait()
	time.Sleep(time.Millisecond)
	if st := s.Snapshot()[0]; st.Available != 4 {
		t.Errorf("%+v, want all available", st)
	}
}
