package pool

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var seeded = flag.Uint64("seed", 0, "repeat a random test with this seed")

// dice returns a source of numbers, and prints the seed that repeats them.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seeded
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed=%d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// of makes a pool of backends a, b, c ... of these weights, with what change changes.
func of(t *testing.T, balance Balance, weights []int, change ...func(*Config)) (*Set, *Pool) {
	t.Helper()
	c := Config{Name: "web", Balance: balance}
	for i, w := range weights {
		c.Backends = append(c.Backends, BackendConfig{
			Name: string(rune('a' + i)), Address: netip.MustParseAddrPort("10.0.0.1:80"), Weight: w,
		})
	}
	for _, f := range change {
		f(&c)
	}
	s := NewSet([]Config{c})
	p := s.Pool("web")
	p.rand = dice(t)
	return s, p
}

func equal(n int) []int {
	ws := make([]int, n)
	for i := range ws {
		ws[i] = 1
	}
	return ws
}

func mustPick(t *testing.T, p *Pool, r Request, exclude ...*Backend) Lease {
	t.Helper()
	l, err := p.Pick(r, exclude...)
	if err != nil {
		t.Fatalf("Pick: %v", err)
	}
	return l
}

// near fails unless got is what n throws at probability share may give: within five standard deviations, which happens by
// chance once in two million.
func near(t *testing.T, what string, got, n int, share float64) {
	t.Helper()
	want, sigma := float64(n)*share, math.Sqrt(float64(n)*share*(1-share))
	if math.Abs(float64(got)-want) > 5*sigma {
		t.Errorf("%s: %d of %d, want %.0f ± %.0f", what, got, n, want, 5*sigma)
	}
}

func TestRoundRobinIsExactInEveryRound(t *testing.T) {
	r := dice(t)
	for range 50 {
		weights := make([]int, 1+r.IntN(6))
		sum := 0
		for i := range weights {
			weights[i] = 1 + r.IntN(9)
			sum += weights[i]
		}
		_, p := of(t, RoundRobin, weights)
		var first string
		for round := range 3 {
			got := sequence(t, p, sum)
			for i, w := range weights {
				if n := strings.Count(got, p.Backends()[i].name); n != w {
					t.Fatalf("weights %v, round %d: %s gives backend %d %d turns, want %d", weights, round, got, i, n, w)
				}
			}
			if first = max(first, got); got != first {
				t.Fatalf("weights %v: %s, then %s", weights, first, got)
			}
		}
	}
}

// A weight is not paid out in a row: of any n turns a backend has its share, give or take less than one, with two backends.
func TestRoundRobinIsSmooth(t *testing.T) {
	_, p := of(t, RoundRobin, []int{7, 3})
	got := sequence(t, p, 40)
	for n := 1; n <= len(got); n++ {
		if a, want := strings.Count(got[:n], "a"), float64(n)*0.7; math.Abs(float64(a)-want) >= 1 {
			t.Errorf("of %s, a has %d of the first %d, want %.1f ± 1", got, a, n, want)
		}
	}
}

func TestRandomFollowsTheWeights(t *testing.T) {
	_, p := of(t, Random, []int{1, 2, 5})
	const n = 16000
	got := sequence(t, p, n)
	for i, share := range []float64{1. / 8, 2. / 8, 5. / 8} {
		name := p.Backends()[i].name
		near(t, name, strings.Count(got, name), n, share)
	}
}

func TestP2CAvoidsTheBusy(t *testing.T) {
	_, p := of(t, P2C, equal(3))
	for range 10 {
		p.Backends()[0].active.Add(1)
	}
	// With a in every draw of two the loser, it is never picked.
	if got := sequence(t, p, 300); strings.Contains(got, "a") {
		t.Errorf("picked %s, with a ten times as busy as others", got)
	}
}

func TestP2CAvoidsTheSlowUntilItsPeakIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := of(t, P2C, equal(2))
		answer := func(took time.Duration) string {
			l := mustPick(t, p, Request{})
			time.Sleep(took)
			l.Answered()
			l.Done(nil)
			return l.Backend().Name()
		}
		for slowed := false; !slowed; { // one slow answer of a is enough
			l := mustPick(t, p, Request{})
			if slowed = l.Backend().Name() == "a"; slowed {
				time.Sleep(500 * time.Millisecond)
			}
			l.Answered()
			l.Done(nil)
		}
		for range 100 {
			if answer(time.Millisecond) == "a" {
				t.Fatal("picked a, whose last answer took half a second, beside one that takes a millisecond")
			}
		}
		time.Sleep(20 * memory) // by then the slow answer counts for less than what was never measured
		seen := 0
		for range 100 {
			if answer(0) == "a" {
				seen++
			}
		}
		if seen == 0 {
			t.Error("a slow answer is remembered for ever")
		}
	})
}

// A backend that refuses at once must not attract everything because it is so quick.
func TestP2CIsNotDrawnToWhatFailsQuickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := of(t, P2C, equal(2))
		failures := 0
		for range 200 {
			l := mustPick(t, p, Request{})
			if l.Backend().Name() == "a" {
				failures++
				l.Done(ErrNone)
				continue
			}
			time.Sleep(10 * time.Millisecond)
			l.Answered()
			l.Done(nil)
		}
		if failures > 5 {
			t.Errorf("%d of 200 picks went to the one that always fails", failures)
		}
	})
}

func TestP2CSharesEvenlyAmongEquals(t *testing.T) {
	_, p := of(t, P2C, equal(4))
	const n = 8000
	got := sequence(t, p, n)
	for _, b := range p.Backends() {
		near(t, b.name, strings.Count(got, b.name), n, 0.25)
	}
}

func TestLeastConnGoesRoundAmongEqualsWithoutMemoryOfTheirPlaces(t *testing.T) {
	_, p := of(t, LeastConn, equal(5))
	busy := []Lease{mustPick(t, p, Request{}), mustPick(t, p, Request{})} // a and b
	got := sequence(t, p, 300)
	for _, free := range "cde" {
		if n := strings.Count(got, string(free)); n != 100 {
			t.Errorf("%c has %d of 300 turns beside two that are as free", free, n)
		}
	}
	for _, l := range busy {
		l.Done(nil)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	for _, balance := range all() {
		_, p := of(t, balance, []int{1, 2, 3}, func(c *Config) {
			c.Backends[0].MaxConns, c.SlowStart = 100, time.Second
			if balance.ByClient() {
				c.BoundedLoad = 150
			}
		})
		tried := p.Backends()[:1]
		if n := testing.AllocsPerRun(100, func() {
			l, _ := p.Pick(Request{Client: client})
			l.Answered()
			l.Done(nil)
			l, _ = p.Pick(Request{Client: client}, tried...)
			l.Done(nil)
		}); n != 0 {
			t.Errorf("%s: %v allocations", balance, n)
		}
	}
}

func all() []Balance { return []Balance{RoundRobin, LeastConn, P2C, Random, SourceHash, Maglev} }

func TestEveryBalanceLeavesOutTheExcludedTheFullAndTheDown(t *testing.T) {
	for _, balance := range all() {
		t.Run(string(balance), func(t *testing.T) {
			s, p := of(t, balance, equal(4), func(c *Config) { c.Backends[2].MaxConns = 1 })
			s.SetUp("web", "b", false, "refused")
			full := mustPick(t, p, Request{}, p.Backends()[0], p.Backends()[3])
			if full.Backend().Name() != "c" {
				t.Fatalf("picked %s, want c, which alone is left", full.Backend().Name())
			}
			for i := range 100 {
				l := mustPick(t, p, Request{Client: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}, p.Backends()[0])
				if got := l.Backend().Name(); got != "d" {
					t.Fatalf("picked %s, want d: a is excluded, b down, c full", got)
				}
				l.Done(nil)
			}
			full.Done(nil)
		})
	}
}

func BenchmarkPick(b *testing.B) {
	for _, balance := range all() {
		for _, n := range []int{4, 32, 256} {
			b.Run(fmt.Sprintf("%s/%d", balance, n), func(b *testing.B) {
				c := Config{Name: "web", Balance: balance}
				for i := range n {
					c.Backends = append(c.Backends, BackendConfig{Name: fmt.Sprint("web", i), Weight: 1 + i%3})
				}
				p := NewSet([]Config{c}).Pool("web")
				client := netip.MustParseAddr("192.0.2.1")
				b.ReportAllocs()
				for b.Loop() {
					l, _ := p.Pick(Request{Client: client})
					l.Answered()
					l.Done(nil)
				}
			})
		}
	}
}

func BenchmarkPickByManyAtOnce(b *testing.B) {
	for _, balance := range all() {
		b.Run(string(balance), func(b *testing.B) {
			p := three(balance, 1, 2, 1, 1, 3, 1, 1, 1).Pool("web")
			client := netip.MustParseAddr("192.0.2.1")
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l, _ := p.Pick(Request{Client: client})
					l.Answered()
					l.Done(nil)
				}
			})
		})
	}
}

func BenchmarkMaglevTable(b *testing.B) {
	for _, n := range []int{4, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var bs []*Backend
			for i := range n {
				name := fmt.Sprint("web", i)
				bs = append(bs, &Backend{name: name, weight: 1, hash: hashName(1, name)})
			}
			for b.Loop() {
				newTable(bs)
			}
		})
	}
}
