package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(port)) //nolint:gosec // a test's
}

func prepared(t *testing.T, s *Set, cfgs ...Config) {
	t.Helper()
	c, err := s.Prepare(cfgs)
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
}

func abc() Config {
	return Config{Name: "web", Backends: []BackendConfig{{Name: "a", Address: at(1)}, {Name: "b", Address: at(2)}, {Name: "c", Address: at(3)}}}
}

func TestReloadKeepsWhatIsKnownOfBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := abc()
		cfg.Ejection = Ejection{After: 1, Time: time.Minute}
		s := NewSet([]Config{cfg})
		p := s.Pool("web")
		a := p.Backends()[0]
		s.SetUp("web", "a", true, "connected")
		s.SetUp("web", "b", false, "refused")
		s.SetAdmin("web", "c", Order{Admin: Drain, Weight: 7, Reason: "disk"})
		l := mustPick(t, p, Request{})
		l.Done(errors.New("broken"))
		time.Sleep(time.Second)
		before := s.Snapshot()[0].Backends

		next := cfg
		next.Balance, next.SlowStart = LeastConn, time.Minute
		next.Backends = []BackendConfig{{Name: "c", Address: at(3), Weight: 3}, {Name: "b", Address: at(2)}, {Name: "a", Address: at(1), Weight: 5}}
		prepared(t, s, next)
		if s.Pool("web") != p || p.Backends()[2] != a {
			t.Fatal("the pool, or a backend, is another one")
		}
		after := s.Snapshot()[0].Backends
		for i, b := range after {
			was := before[2-i]
			if b.Name == "a" {
				was.Weight = 5
			}
			if !reflect.DeepEqual(b, was) {
				t.Errorf("after the reload %+v, want %+v", b, was)
			}
		}
	})
}

func TestReloadOfAnAddressIsANewBackendWithTheOperatorsOrder(t *testing.T) {
	s := NewSet([]Config{abc()})
	s.SetUp("web", "a", false, "refused")
	s.SetAdmin("web", "a", Order{Admin: Maint, Reason: "disk"})
	next := abc()
	next.Backends[0].Address = at(9)
	prepared(t, s, next)
	b := s.Snapshot()[0].Backends[0]
	if b.Address != at(9) || b.State != Unchecked || b.Order.Admin != Maint || b.Order.Reason != "disk" {
		t.Errorf("%+v, want the new address, unchecked and in maintenance", b)
	}
}

func TestNewBackendWaitsForItsProbe(t *testing.T) {
	only := Config{Name: "web", Backends: []BackendConfig{{Name: "a", Address: at(1)}}}
	for _, c := range []struct {
		name     string
		aUp      bool
		unprobed bool
		waits    bool
	}{{"beside one that serves", true, false, true}, {"beside none", false, false, false}, {"that nothing probes", true, true, false}} {
		s := NewSet([]Config{only})
		s.SetUp("web", "a", c.aUp, "so it is")
		next := abc()
		next.Unprobed = c.unprobed
		prepared(t, s, next)
		got := map[string]int{}
		for range 9 {
			l := mustPick(t, s.Pool("web"), Request{})
			got[l.Backend().Name()]++
			l.Done(nil)
		}
		if waits := got["b"]+got["c"] == 0; waits != c.waits {
			t.Errorf("%s: picked %v", c.name, got)
		}
		s.SetUp("web", "b", true, "connected")
		if l := mustPick(t, s.Pool("web"), Request{}, s.Pool("web").Backends()[0]); c.waits && l.Backend().Name() != "b" {
			t.Errorf("%s: picked %s when b was up", c.name, l.Backend().Name())
		}
	}
}

// resettable is a session that knows whether it was ended.
type resettable struct{ ended int }

func (r *resettable) Reset() { r.ended++ }

func TestBackendThatGoesFinishesWhatItHas(t *testing.T) {
	for _, onDown := range []OnDown{OnDownReset, OnDownDrain} {
		cfg := abc()
		cfg.OnDown = onDown
		s := NewSet([]Config{cfg})
		p := s.Pool("web")
		a := p.Backends()[0]
		l := p.lease(a, time.Now())
		r := &resettable{}
		if !a.Attach(r) {
			t.Fatal("it takes no session")
		}
		cfg.Backends = cfg.Backends[1:]
		prepared(t, s, cfg)
		for range 6 {
			l := mustPick(t, p, Request{Sticky: a})
			if l.Backend() == a {
				t.Fatal("a backend that has gone was picked")
			}
			l.Done(nil)
		}
		if late := (&resettable{}); r.ended != 0 || !a.Attach(late) {
			t.Errorf("on_down %s: a session was ended %d times, or one that was begun is not taken", onDown, r.ended)
		}
		a.Close()
		if r.ended != 1 || a.Attach(&resettable{}) {
			t.Errorf("on_down %s: ended %d times, want once, and no more sessions", onDown, r.ended)
		}
		l.Done(nil)
		if a.Active() != 0 {
			t.Errorf("%d uses at the end", a.Active())
		}
	}
}

func TestWhoWaitsIsServedByWhatAReloadBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Name: "web", QueueSize: 9, QueueTimeout: time.Minute, Backends: []BackendConfig{{Name: "a", Address: at(1), MaxConns: 1}}}
		s := NewSet([]Config{cfg})
		p := s.Pool("web")
		first := mustPick(t, p, Request{})
		turns := make(chan Lease)
		for range 2 {
			go func() {
				l, err := p.Wait(t.Context(), Request{}, func() bool { return false })
				if err != nil {
					t.Error(err)
				}
				turns <- l
			}()
		}
		synctest.Wait()
		cfg.Backends = []BackendConfig{{Name: "a", Address: at(1), MaxConns: 2}}
		prepared(t, s, cfg)
		second := <-turns
		cfg.Backends = []BackendConfig{{Name: "a", Address: at(1)}}
		prepared(t, s, cfg)
		third := <-turns
		cfg.MaxRequests = 1
		prepared(t, s, cfg)
		for _, l := range []Lease{first, second, third} {
			l.Done(nil)
		}
		l := mustPick(t, p, Request{})
		if _, err := p.Pick(Request{}); !errors.Is(err, ErrFull) {
			t.Errorf("a second request of one: %v", err)
		}
		l.Done(nil)
		if p.used != 0 || p.inHand() != 0 {
			t.Errorf("%d counted, %d in hand at the end", p.used, p.inHand())
		}
	})
}

func TestPrepareRefusesNamesThatAreThereTwice(t *testing.T) {
	s := NewSet([]Config{abc()})
	before := s.Snapshot()
	for _, cfgs := range [][]Config{{abc(), abc()}, {{Name: "web", Backends: []BackendConfig{{Name: "a"}, {Name: "a"}}}}} {
		if _, err := s.Prepare(cfgs); err == nil {
			t.Errorf("%v: prepared", cfgs)
		}
	}
	c, err := s.Prepare([]Config{{Name: "other"}})
	if err != nil || c.Pool("web") != nil || c.Pool("other") == nil || s.Pool("other") != nil {
		t.Errorf("prepared: %v, or the change is in place already", err)
	}
	if after := s.Snapshot(); !reflect.DeepEqual(after, before) {
		t.Errorf("after what was only prepared: %+v, want %+v", after, before)
	}
}

// randomPools makes pools that have much in common with others that it makes.
func randomPools(r *rand.Rand) []Config {
	var cfgs []Config
	for i := range 3 {
		if r.IntN(4) == 0 {
			continue
		}
		c := Config{
			Name: fmt.Sprint("p", i), Unprobed: true, Balance: []Balance{"", LeastConn, P2C, Random, SourceHash, Maglev}[r.IntN(6)],
			SlowStart: time.Duration(r.IntN(2)) * time.Second, Panic: r.IntN(2) * 50, KeepAtLeast: r.IntN(3), MaxRequests: r.IntN(2) * 5,
			QueueSize: r.IntN(2), BoundedLoad: r.IntN(2) * 125, HTTP2: r.IntN(2) == 0, OnDown: []OnDown{OnDownReset, OnDownDrain}[r.IntN(2)],
			Cookie: []string{"", "srv"}[r.IntN(2)], ConnectTimeout: time.Duration(r.IntN(2)) * time.Second,
		}
		for _, n := range r.Perm(5)[:1+r.IntN(5)] {
			c.Backends = append(c.Backends, BackendConfig{
				Name: fmt.Sprint("b", n), Address: at(1 + n + r.IntN(2)*10), Weight: r.IntN(3), Backup: r.IntN(4) == 0, MaxConns: r.IntN(2) * 3,
			})
		}
		cfgs = append(cfgs, c)
	}
	return cfgs
}

// effective is all that matters of pools, but for what has been counted and since when.
func effective(s *Set) string {
	out := ""
	for _, p := range s.now.Load().pools {
		c := *p.conf()
		var cookies []string
		for _, b := range c.backends {
			cookies = append(cookies, b.cookie)
			out += fmt.Sprintf("%s: %s %s %d/%d %v backup=%t most=%d keep=%t serves=%t share=%d %d\n", p.name, b.name, b.Address(), b.configured, b.weight, b.State(), b.backup, b.most, b.keep.Load(), b.serves.Load(), b.share, b.hash)
		}
		out += fmt.Sprintf("%s: forced=%t serving=%d reserve=%d choices=%d %v\n", p.name, p.rotation.forced, len(p.rotation.serving), len(p.rotation.reserve), p.choices.Load(), cookies)
		c.backends, c.sticky.by = nil, nil
		out += fmt.Sprintf("%+v\n", c)
	}
	return out
}

func TestReloadEqualsAFreshStart(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	for range 200 {
		s := NewSet(randomPools(r))
		for range 1 + r.IntN(3) {
			next := randomPools(r)
			prepared(t, s, next...)
			if got, want := effective(s), effective(NewSet(next)); got != want {
				t.Fatalf("after a reload\n%s\nafter a start\n%s", got, want)
			}
		}
	}
}
