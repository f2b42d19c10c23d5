package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWeightByHandCountsUntilItIsTakenBack(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, Random, SourceHash, Maglev} {
		s, p := ejecting(Config{Balance: balance}, 2)
		share := func() int {
			n := 0
			for i := range 4000 {
				l, err := p.Pick(Request{Client: clientNo(i)})
				if err != nil {
					t.Fatal(err)
				}
				if l.Backend().Name() == "a" {
					n++
				}
				l.Done(nil)
			}
			return n
		}
		near := func(when string, got, want int) {
			t.Helper()
			if got < want-200 || got > want+200 {
				t.Errorf("%s, %s: a was picked %d times of 4000, want about %d", balance, when, got, want)
			}
		}
		near("as configured", share(), 2000)
		s.SetAdmin("web", "a", Order{Weight: 3})
		near("by hand", share(), 3000)
		if b := s.Snapshot()[0].Backends[0]; b.Weight != 3 || b.Order.Weight != 3 {
			t.Errorf("%+v, want the weight 3, by hand", b)
		}
		s.SetAdmin("web", "a", Order{})
		near("taken back", share(), 2000)
		s.SetAdmin("web", "a", Order{Weight: 1 << 30})
		if b := s.Snapshot()[0].Backends[0]; b.Weight != mostWeight {
			t.Errorf("weight %d, want it bounded", b.Weight)
		}
	}
}

func TestOrderSaysSinceWhenAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := ejecting(Config{}, 2)
		order := func() Order { return s.Snapshot()[0].Backends[0].Order }
		start := time.Now()
		s.SetAdmin("web", "a", Order{Admin: Drain, Reason: "new disk"})
		time.Sleep(time.Minute)
		s.SetAdmin("web", "a", Order{Admin: Drain, Reason: "new disk"}) // nothing new
		s.SetUp("web", "a", false, "refused")
		if got, want := order(), (Order{Admin: Drain, Reason: "new disk", Since: start}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		s.SetAdmin("web", "a", Order{Admin: Drain, Reason: "new board"})
		if got := order(); got.Since != start.Add(time.Minute) {
			t.Errorf("since %v, want the time of the new order", got.Since)
		}
		said := start.Add(-time.Hour) // on another node, or before a restart
		s.SetAdmin("web", "a", Order{Admin: Maint, Since: said})
		if got := order(); got.Since != said || got.Admin != Maint {
			t.Errorf("%+v, want maint since an hour before the start", got)
		}
	})
}
