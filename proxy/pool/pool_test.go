package pool

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

func three(balance Balance, weights ...int) *Set {
	c := Config{Name: "web", Balance: balance}
	for i, w := range weights {
		c.Backends = append(c.Backends, BackendConfig{
			Name: string(rune('a' + i)), Address: netip.MustParseAddrPort("10.0.0.1:80"), Weight: w,
		})
	}
	return NewSet([]Config{c})
}

// sequence picks n times, ending each use at once.
func sequence(t *testing.T, p *Pool, n int) string {
	t.Helper()
	var s strings.Builder
	for range n {
		l, err := p.Pick(Request{})
		if err != nil {
			t.Fatalf("Pick: %v", err)
		}
		s.WriteString(l.Backend().Name())
		l.Done(nil)
	}
	return s.String()
}

func TestBackendsTakeTurns(t *testing.T) {
	for _, c := range []struct {
		name    string
		balance Balance
		weights []int
		want    string
	}{
		{"equal weights", RoundRobin, []int{1, 1, 1}, "abcabc"},
		{"a heavy backend is spread between the light ones", RoundRobin, []int{5, 1, 1}, "aabacaa"},
		{"zero weight is one", RoundRobin, []int{0, 0}, "abab"},
		{"idle least-conn goes round", LeastConn, []int{1, 1, 1}, "abcabc"},
		{"idle least-conn goes round by weight", LeastConn, []int{2, 1}, "abaaba"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := three(c.balance, c.weights...).Pool("web")
			if got := sequence(t, p, len(c.want)); got != c.want {
				t.Errorf("weights %v: picked %s, want %s", c.weights, got, c.want)
			}
		})
	}
}

func TestLeastConnPicksTheLeastLoadedForItsWeight(t *testing.T) {
	p := three(LeastConn, 1, 3).Pool("web")
	count := map[string]int{}
	for range 40 {
		l, err := p.Pick(Request{})
		if err != nil {
			t.Fatal(err)
		}
		count[l.Backend().Name()]++
	}
	if count["a"] != 10 || count["b"] != 30 {
		t.Errorf("40 open connections over weights 1 and 3: %v, want a:10 b:30", count)
	}
}

func TestTiesGoRoundAmongTheEqualOnly(t *testing.T) {
	p := three(LeastConn, 1, 1, 1).Pool("web")
	busy, err := p.Pick(Request{})
	if err != nil || busy.Backend().Name() != "a" {
		t.Fatalf("first pick: %v %v", busy, err)
	}
	got := sequence(t, p, 8)
	if strings.Contains(got, "a") || strings.Count(got, "b") != 4 {
		t.Errorf("with a busy, picked %s, want b and c in turn", got)
	}
}

func TestDownBackendIsNotPicked(t *testing.T) {
	s := three(RoundRobin, 1, 1, 1)
	p := s.Pool("web")
	s.SetUp("web", "b", false, "refused")
	if got := sequence(t, p, 4); got != "acac" {
		t.Errorf("with b down: %s, want acac", got)
	}
	s.SetUp("web", "b", true, "answered")
	if got := sequence(t, p, 3); !strings.Contains(got, "b") {
		t.Errorf("with b up again: %s, want b in it", got)
	}
}

func TestPickHonoursExclusions(t *testing.T) {
	s := three(RoundRobin, 1, 1)
	p := s.Pool("web")
	a, b := p.Backends()[0], p.Backends()[1]
	if l, err := p.Pick(Request{}, a); err != nil || l.Backend() != b {
		t.Errorf("Pick without a = %v, %v; want b", l, err)
	}
	if _, err := p.Pick(Request{}, a, b); !errors.Is(err, ErrNone) {
		t.Errorf("Pick without any: %v, want ErrNone", err)
	}
	s.SetUp("web", "b", false, "")
	if _, err := p.Pick(Request{}, a); !errors.Is(err, ErrNone) {
		t.Errorf("Pick with the rest down: %v, want ErrNone", err)
	}
	if _, err := NewSet([]Config{{Name: "empty"}}).Pool("empty").Pick(Request{}); !errors.Is(err, ErrNone) {
		t.Errorf("Pick in an empty pool: %v, want ErrNone", err)
	}
}

func TestSnapshotTellsStatesApart(t *testing.T) {
	s := three(RoundRobin, 1, 1, 1)
	s.SetUp("web", "b", true, "answered 200")
	s.SetUp("web", "c", false, "refused")
	s.SetUp("web", "nobody", false, "ignored")
	s.SetUp("nowhere", "a", false, "ignored")
	l, err := s.Pool("web").Pick(Request{})
	if err != nil {
		t.Fatal(err)
	}
	st := s.Snapshot()[0]
	if st.Available != 2 {
		t.Errorf("available %d, want 2", st.Available)
	}
	for i, want := range []State{Unchecked, Up, Down} {
		if got := st.Backends[i].State; got != want {
			t.Errorf("backend %d is %v, want %v", i, got, want)
		}
	}
	if b := st.Backends[0]; b.Active != 1 || b.Total != 1 || b.Failures != 0 {
		t.Errorf("in use: %+v", b)
	}
	if st.Backends[2].Reason != "refused" || st.Backends[2].Since.IsZero() {
		t.Errorf("down without reason or time: %+v", st.Backends[2])
	}
	l.Done(errors.New("reset"))
	if b := s.Snapshot()[0].Backends[0]; b.Active != 0 || b.Failures != 1 {
		t.Errorf("after a failure: %+v", b)
	}
}

func TestSinceMovesOnlyWhenTheStateChanges(t *testing.T) {
	s := three(RoundRobin, 1)
	s.SetUp("web", "a", false, "refused")
	first := s.Snapshot()[0].Backends[0]
	s.SetUp("web", "a", false, "timeout")
	second := s.Snapshot()[0].Backends[0]
	if !first.Since.Equal(second.Since) || second.Reason != "timeout" {
		t.Errorf("first %+v, then %+v; want the same time and the newer reason", first, second)
	}
}

type session struct {
	mu    sync.Mutex // guards reset
	reset int
}

func (s *session) Reset() { s.mu.Lock(); s.reset++; s.mu.Unlock() }

func TestSessionsEndWhenTheirBackendGoesDown(t *testing.T) {
	s := three(RoundRobin, 1, 1)
	a, b := s.Pool("web").Backends()[0], s.Pool("web").Backends()[1]
	var onA, onB, gone session
	a.Attach(&onA)
	a.Attach(&gone)
	a.Detach(&gone)
	b.Attach(&onB)
	s.SetUp("web", "a", false, "refused")
	s.SetUp("web", "a", false, "refused")
	if onA.reset != 1 || onB.reset != 0 || gone.reset != 0 {
		t.Errorf("resets: on a %d, on b %d, detached %d; want 1, 0, 0", onA.reset, onB.reset, gone.reset)
	}
	if a.Attach(&onA) {
		t.Error("Attach to a backend that is down succeeded")
	}
}

func TestOnDownDrainLeavesSessionsAlone(t *testing.T) {
	s := NewSet([]Config{{Name: "web", OnDown: OnDownDrain, Backends: []BackendConfig{{Name: "a"}}}})
	a := s.Pool("web").Backends()[0]
	var on session
	a.Attach(&on)
	s.SetUp("web", "a", false, "refused")
	if on.reset != 0 {
		t.Error("a session was reset although the pool keeps them")
	}
	a.Detach(&on)
}

func TestPoolsBearManyHandsAtOnce(t *testing.T) {
	s := three(LeastConn, 1, 2, 3)
	p := s.Pool("web")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				if i == 0 {
					s.SetUp("web", "b", n%2 == 0, "")
					s.Snapshot()
				}
				if l, err := p.Pick(Request{}); err == nil {
					l.Done(nil)
				}
			}
		})
	}
	wg.Wait()
	for _, b := range s.Snapshot()[0].Backends {
		if b.Active != 0 {
			t.Errorf("%s has %d uses after all ended", b.Name, b.Active)
		}
	}
}
