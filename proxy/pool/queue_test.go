package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// full makes a pool of n backends with one connection each, all of them taken.
func full(t *testing.T, n int, change ...func(*Config)) (*Set, *Pool, []Lease) {
	t.Helper()
	s, p := of(t, RoundRobin, equal(n), append([]func(*Config){func(c *Config) {
		c.QueueSize, c.QueueTimeout = 10, 5*time.Second
		for i := range c.Backends {
			c.Backends[i].MaxConns = 1
		}
	}}, change...)...)
	var ls []Lease
	for range n {
		ls = append(ls, mustPick(t, p, Request{}))
	}
	if _, err := p.Pick(Request{}); !errors.Is(err, ErrFull) {
		t.Fatalf("Pick with all full: %v, want ErrFull", err)
	}
	return s, p, ls
}

func never() bool { return false }

func TestWhoCameFirstIsServedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, held := full(t, 1)
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				l, err := p.Wait(t.Context(), Request{}, never)
				if err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				l.Done(nil)
			})
			synctest.Wait()
		}
		if n := p.Waiting(); n != 5 {
			t.Errorf("%d wait, want 5", n)
		}
		held[0].Done(nil)
		// Who comes now does not overtake.
		if _, err := p.Pick(Request{}); !errors.Is(err, ErrFull) {
			t.Errorf("Pick while others wait: %v, want ErrFull", err)
		}
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("served in the order %v", order)
		}
		if p.Backends()[0].active.Load() != 0 || p.Waiting() != 0 {
			t.Errorf("%d in use, %d waiting at the end", p.Backends()[0].active.Load(), p.Waiting())
		}
	})
}

func TestBoundOfConnectionsIsNeverPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := of(t, LeastConn, equal(3), func(c *Config) {
			c.QueueSize, c.QueueTimeout = 1000, time.Hour
			for i := range c.Backends {
				c.Backends[i].MaxConns = 4
			}
		})
		r := dice(t)
		var mu sync.Mutex // guards r
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				l, err := p.Pick(Request{})
				if errors.Is(err, ErrFull) {
					l, err = p.Wait(t.Context(), Request{}, never)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := l.Backend().active.Load(); n > 4 {
					t.Errorf("%s has %d", l.Backend().Name(), n)
				}
				mu.Lock()
				d := time.Duration(r.IntN(50)) * time.Millisecond
				mu.Unlock()
				time.Sleep(d)
				l.Done(nil)
			})
		}
		wg.Wait()
		for _, b := range p.Backends() {
			if b.active.Load() != 0 || b.total.Load() == 0 {
				t.Errorf("%s: %d in use after all, %d in total", b.name, b.active.Load(), b.total.Load())
			}
		}
	})
}

func TestWaitingEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  error
		after time.Duration
		gone  func() bool
		limit time.Duration
	}{
		{"at the timeout", ErrWaited, 5 * time.Second, never, time.Hour},
		{"when the client has gone", ErrGone, time.Second, func() bool { return true }, time.Hour},
		{"with the context", context.DeadlineExceeded, 3 * time.Second, never, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, held := full(t, 1)
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				began := time.Now()
				_, err := p.Wait(ctx, Request{}, c.gone)
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.after {
					t.Errorf("%v after %v, want %v after %v", err, took, c.want, c.after)
				}
				held[0].Done(nil)
				if n := p.Backends()[0].active.Load(); n != 0 || p.Waiting() != 0 {
					t.Errorf("%d in use: the one that had given up got a backend", n)
				}
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, held := full(t, 1, func(c *Config) { c.QueueSize = 2 })
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if l, err := p.Wait(t.Context(), Request{}, never); err != nil {
					t.Error(err)
				} else {
					l.Done(nil)
				}
			})
		}
		synctest.Wait()
		if _, err := p.Wait(t.Context(), Request{}, never); !errors.Is(err, ErrQueue) {
			t.Errorf("third: %v, want ErrQueue", err)
		}
		held[0].Done(nil)
		wg.Wait()
		_, p, _ = full(t, 1, func(c *Config) { c.QueueSize = 0 })
		if _, err := p.Wait(t.Context(), Request{}, never); !errors.Is(err, ErrQueue) {
			t.Errorf("without a queue: %v, want ErrQueue", err)
		}
	})
}

func TestWaitPicksWhatHasRoomMeanwhile(t *testing.T) {
	_, p, held := full(t, 1)
	held[0].Done(nil)
	if _, err := p.Wait(t.Context(), Request{}, never); err != nil {
		t.Errorf("Wait with room: %v", err)
	}
}

func TestQueueIsServedByWhatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, held := full(t, 2)
		b := p.Backends()[1]
		s.SetUp("web", "b", false, "refused")
		held[1].Done(nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			if l, err := p.Wait(t.Context(), Request{}, never); err != nil || l.Backend() != b {
				t.Errorf("got %v, %v; want b", l, err)
			}
		})
		synctest.Wait()
		began := time.Now()
		s.SetUp("web", "b", true, "answered")
		wg.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v although a backend had come back", took)
		}
	})
}

func TestQueueIsSentHomeWhenNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _ := full(t, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Wait(t.Context(), Request{}, never); !errors.Is(err, ErrNone) {
				t.Errorf("%v, want ErrNone", err)
			}
		})
		synctest.Wait()
		s.SetUp("web", "a", false, "refused")
		wg.Wait()
	})
}

func TestExcludedAndStickyWaitForTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, held := full(t, 2)
		a, b := p.Backends()[0], p.Backends()[1]
		got := make(chan string, 3)
		var wg sync.WaitGroup
		wait := func(who string, r Request, exclude ...*Backend) {
			wg.Go(func() {
				l, err := p.Wait(t.Context(), r, never, exclude...)
				if err != nil {
					t.Errorf("%s: %v", who, err)
					return
				}
				got <- fmt.Sprintf("%s on %s", who, l.Backend().Name())
			})
			synctest.Wait()
		}
		wait("the excluded", Request{}, a)
		wait("the sticky", Request{Sticky: b})
		wait("anybody", Request{})
		for _, next := range []struct {
			end  Lease
			want string
		}{
			{held[0], "anybody on a"}, // the two before it do not take a, and hold nobody up
			{held[1], "the excluded on b"},
			{Lease{backend: b, pool: p}, "the sticky on b"},
		} {
			next.end.Done(nil)
			synctest.Wait()
			if g := <-got; g != next.want {
				t.Errorf("got %q, want %q", g, next.want)
			}
		}
		wg.Wait()
	})
}

func TestQueueGetsAnEjectedBackendWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, held := full(t, 2, func(c *Config) { c.Ejection = Ejection{After: 1, Time: 1500 * time.Millisecond} })
		held[1].Done(errors.New("reset"))
		began := time.Now()
		l, err := p.Wait(t.Context(), Request{}, never)
		if took := time.Since(began); err != nil || l.Backend().Name() != "b" || took != 2*time.Second {
			t.Errorf("%v after %v, want b at the first look after its ejection", err, took)
		}
	})
}
