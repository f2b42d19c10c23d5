package health

import (
	"flag"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var seed = flag.Uint64("seed", 1, "seed of the jitter in tests")

var (
	web1 = netip.MustParseAddrPort("10.0.1.21:80")
	web2 = netip.MustParseAddrPort("10.0.1.22:80")
)

func accept(net.Conn) {}

func TestFirstSuccessMakesABackendUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) }, target("web", "web1", web1.String(), Config{Rise: 5}))
		after(time.Millisecond)
		st := w.Snapshot()[0]
		if st.State != Up || !st.OK || st.Count != 1 || st.Reason != "connected" {
			t.Errorf("status = %+v, want up after one success", st)
		}
		if got := w.told(); len(got) != 1 || !got[0].up {
			t.Errorf("reports = %+v, want one: up", got)
		}
		w.stop()
	})
}

func TestFirstFailuresFollowFallAtTheFastInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Interval: 10 * time.Second, FastInterval: time.Second, Fall: 3}
		w := start(t, func(*fakeNet) {}, target("web", "web1", web1.String(), cfg))
		after(time.Millisecond)
		if st := w.Snapshot()[0]; st.State != Unchecked || st.Reason != "connect: connection refused" {
			t.Errorf("after one failure: %+v, want unchecked, connect: connection refused", st)
		}
		after(2500 * time.Millisecond)
		if st := w.Snapshot()[0]; st.State != Down || st.Count != 3 {
			t.Errorf("after three failures: %+v, want down", st)
		}
		want := []string{"web", "web1", "connect: connection refused"}
		got := w.told()
		if len(got) != 1 || got[0].up || !slices.Equal([]string{got[0].pool, got[0].backend, got[0].reason}, want) {
			t.Errorf("reports = %+v, want one: down %v", got, want)
		}
		w.stop()
	})
}

func TestABackendGoesDownAndComesUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Interval: time.Second, FastInterval: 100 * time.Millisecond, Rise: 4, Fall: 2}
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) }, target("web", "web1", web1.String(), cfg))
		after(5 * time.Second)
		w.serve(web1, nil)
		// The next probe comes within an interval and a tenth, the second failure a fast one later.
		after(1100*time.Millisecond + 110*time.Millisecond)
		st := w.Snapshot()[0]
		if st.State != Down || st.Since.Sub(w.started) < 5*time.Second || !st.Since.Equal(st.At) {
			t.Fatalf("refused for 1.21 s: %+v, want down since then", st)
		}
		after(3 * time.Second)
		w.serve(web1, accept)
		after(1100*time.Millisecond + 330*time.Millisecond)
		if st := w.Snapshot()[0]; st.State != Up || st.Count != 4 {
			t.Fatalf("answering for 1.43 s: %+v, want up after 4", st)
		}
		if ups, downs := w.logged.count("backend up"), w.logged.count("backend down"); ups != 2 || downs != 1 {
			t.Errorf("logged %d up and %d down, want 2 and 1:\n%s", ups, downs, &w.logged)
		}
		w.stop()
	})
}

func TestProbesKeepTheIntervalWithinATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", *seed)
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) }, target("web", "web1", web1.String(), Config{Interval: time.Second}))
		after(200 * time.Second)
		at := w.times(web1)
		var low, high bool
		for i := range at[1:] {
			d := at[i+1].Sub(at[i])
			if d < 900*time.Millisecond || d > 1100*time.Millisecond {
				t.Errorf("probe %d came %v after the one before, want 900ms to 1.1s", i+1, d)
			}
			low, high = low || d < 930*time.Millisecond, high || d > 1070*time.Millisecond
		}
		if !low || !high {
			t.Errorf("200 pauses, none below 930ms (%v) or none above 1.07s (%v): no jitter", low, high)
		}
		w.stop()
	})
}

func TestTheStartIsStaggered(t *testing.T) {
	for _, c := range []struct{ interval, bound time.Duration }{
		{200 * time.Millisecond, 200 * time.Millisecond},
		{time.Minute, maxSpread},
	} {
		synctest.Test(t, func(t *testing.T) {
			var targets []Target
			var addrs []netip.AddrPort
			for i := range 10 {
				a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)}), 80)
				addrs = append(addrs, a)
				targets = append(targets, Target{Pool: "web", Backend: a.String(), Address: a, Config: Config{Interval: c.interval}})
			}
			w := start(t, func(*fakeNet) {}, targets...)
			after(c.bound)
			for i, a := range addrs {
				at := w.times(a)
				if len(at) == 0 {
					t.Fatalf("interval %v: backend %d not probed within %v", c.interval, i, c.bound)
				}
				if got, want := at[0].Sub(w.started), c.bound*time.Duration(i)/10; got != want {
					t.Errorf("interval %v: backend %d first probed after %v, want %v", c.interval, i, got, want)
				}
			}
			w.stop()
		})
	}
}

func TestAnEmptyPoolIsToldOnceAndItsEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Interval: time.Second, Fall: 1, Rise: 1}
		w := start(t, func(f *fakeNet) { f.serve(web1, accept); f.serve(web2, accept) },
			target("web", "web1", web1.String(), cfg), target("web", "web2", web2.String(), cfg),
			target("api", "web1", web1.String(), cfg))
		after(3 * time.Second)
		w.serve(web2, nil)
		after(3 * time.Second)
		if n := w.logged.count("pool has no backend up"); n != 0 {
			t.Errorf("told %d times that a pool is empty while one backend was up", n)
		}
		w.serve(web1, nil)
		after(30 * time.Second)
		if n := w.logged.count("pool has no backend up"); n != 2 {
			t.Errorf("told %d times that a pool is empty, want 2 (web, api):\n%s", n, &w.logged)
		}
		w.serve(web1, accept)
		w.serve(web2, accept)
		after(3 * time.Second)
		if n := w.logged.count("pool has a backend up again"); n != 2 {
			t.Errorf("told %d times that a pool is no longer empty, want 2:\n%s", n, &w.logged)
		}
		w.stop()
	})
}

func TestABackendThatIsNotProbedStaysUnchecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(*fakeNet) {}, target("web", "web1", web1.String(), Config{Type: None}))
		after(time.Hour)
		if st := w.Snapshot()[0]; st.State != Unchecked || len(w.times(web1)) != 0 {
			t.Errorf("status %+v after %d probes, want unchecked after none", st, len(w.times(web1)))
		}
		w.stop()
	})
}

func TestAPortOfItsOwnIsProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := netip.AddrPortFrom(web1.Addr(), 9000)
		w := start(t, func(f *fakeNet) { f.serve(other, accept) }, target("web", "web1", web1.String(), Config{Port: 9000}))
		after(time.Millisecond)
		if st := w.Snapshot()[0]; st.State != Up || st.Address != other {
			t.Errorf("status %+v, want up at %v", st, other)
		}
		w.stop()
	})
}

func TestLackOfDescriptorsIsNotTheBackendsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) }, target("web", "web1", web1.String(), Config{Fall: 1}))
		after(5 * time.Second)
		w.fail(web1, syscall.EMFILE)
		after(time.Minute)
		st := w.Snapshot()[0]
		if st.State != Up || !strings.Contains(st.Reason, "on this host") {
			t.Errorf("status %+v, want up and a reason that names this host", st)
		}
		if n := w.logged.count("probe could not be made"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, &w.logged)
		}
		w.fail(web1, nil)
		after(time.Second)
		if n := w.logged.count("probes can be made again"); n != 1 {
			t.Errorf("the end was told %d times, want once", n)
		}
		w.stop()
	})
}

func TestRunEndsInTheMiddleOfAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute := func(c net.Conn) { readHeader(c); readHeader(c) }
		cfg := Config{Type: HTTP, Interval: time.Hour, Timeout: time.Hour}
		w := start(t, func(f *fakeNet) { f.serve(web1, mute) }, target("web", "web1", web1.String(), cfg))
		after(time.Second)
		before := time.Now()
		w.stop()
		if d := time.Since(before); d > 0 {
			t.Errorf("Run needed %v to end", d)
		}
		if st := w.Snapshot()[0]; st.Count != 0 || len(w.told()) != 0 {
			t.Errorf("a probe that was cut short counted: %+v", st)
		}
	})
}
