package pool

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bounded is a pool of n backends that has as many uses as it may.
func bounded(t *testing.T, n, most, queue int) (*Set, *Pool, []Lease) {
	t.Helper()
	s, p := of(t, RoundRobin, equal(n), func(c *Config) { c.MaxRequests, c.QueueSize, c.QueueTimeout = most, queue, 5*time.Second })
	var ls []Lease
	for range most {
		ls = append(ls, mustPick(t, p, Request{}))
	}
	return s, p, ls
}

func TestPoolAsAWholeHasABound(t *testing.T) {
	s, p, ls := bounded(t, 3, 5, 0)
	if _, err := p.Pick(Request{}); !errors.Is(err, ErrFull) {
		t.Fatalf("Pick: %v, want ErrFull", err)
	}
	if _, err := p.Wait(t.Context(), Request{}, never); !errors.Is(err, ErrLimit) {
		t.Errorf("Wait without a queue: %v, want ErrLimit", err)
	}
	if st := s.Snapshot()[0]; st.Used != 5 || st.Most != 5 {
		t.Errorf("%+v, want 5 of 5 used", st)
	}
	ls[0].Done(nil)
	l := mustPick(t, p, Request{})
	for _, l := range append(ls[1:], l) {
		l.Done(errBroken) // failures end uses as well
	}
	if p.used != 0 {
		t.Errorf("%d uses counted after all ended", p.used)
	}
}

// The room goes to who waits first, at whichever backend balancing chooses, and a backend that is drained holds nobody up.
func TestRoomOfThePoolGoesToWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, ls := bounded(t, 3, 2, 3)
		var wg sync.WaitGroup
		got := make(chan int, 3)
		for i := range 3 {
			wg.Go(func() {
				l, err := p.Wait(t.Context(), Request{}, never)
				if err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
				got <- i
				time.Sleep(time.Second)
				l.Done(nil)
			})
			synctest.Wait()
		}
		if _, err := p.Wait(t.Context(), Request{}, never); !errors.Is(err, ErrLimit) {
			t.Errorf("one more than may wait: %v, want ErrLimit", err)
		}
		s.SetAdmin("web", ls[0].Backend().Name(), Order{Admin: Drain})
		if n := p.Waiting(); n != 3 {
			t.Errorf("%d wait, want 3: a new rotation makes no room", n)
		}
		ls[0].Done(nil)
		synctest.Wait()
		if n := p.Waiting(); n != 2 {
			t.Errorf("%d wait after one use ended, want 2", n)
		}
		ls[1].Done(nil)
		wg.Wait()
		for i := range 3 {
			if who := <-got; who != i {
				t.Errorf("served %d, want %d", who, i)
			}
		}
		if p.used != 0 || p.Waiting() != 0 {
			t.Errorf("%d used, %d waiting at the end", p.used, p.Waiting())
		}
	})
}

// Who can have no backend at all is told so and uses no room up.
func TestWhoCannotBeServedUsesNoRoomUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, ls := bounded(t, 1, 1, 2)
		p.mu.Lock()
		p.queue.waiting.PushBack(&waiter{exclude: p.Backends(), turn: make(chan turn, 1)})
		p.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() {
			l, err := p.Wait(t.Context(), Request{}, never)
			if err != nil {
				t.Errorf("the one behind: %v", err)
				return
			}
			l.Done(nil)
		})
		synctest.Wait()
		ls[0].Done(nil)
		wg.Wait()
	})
}

func TestBoundOfThePoolIsNeverPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := of(t, LeastConn, equal(3), func(c *Config) {
			c.MaxRequests, c.QueueSize, c.QueueTimeout = 7, 1000, time.Hour
			c.Backends[0].MaxConns = 2
		})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				l, err := p.Wait(t.Context(), Request{}, never)
				if err != nil {
					t.Error(err)
					return
				}
				if n := p.inHand(); n > 7 {
					t.Errorf("%d uses at once, want at most 7", n)
				}
				time.Sleep(time.Duration(i%7) * time.Millisecond)
				l.Done(nil)
			})
		}
		for i := range 20 {
			s.SetUp("web", "b", i%2 == 1, "")
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if p.used != 0 || p.inHand() != 0 {
			t.Errorf("%d counted, %d in use at the end", p.used, p.inHand())
		}
	})
}
