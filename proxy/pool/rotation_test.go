package pool

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestWhoServes(t *testing.T) {
	// One letter a member: u up, d down, b a backup that is up, x one that is down. The n-th went down n seconds ago.
	for _, c := range []struct {
		name, members    string
		rules            rules
		serving, reserve []int
		forced           bool
	}{
		{"all", "uuu", rules{}, []int{0, 1, 2}, nil, false},
		{"those that are up", "udu", rules{}, []int{0, 2}, nil, false},
		{"nobody", "dd", rules{}, nil, nil, false},
		{"backups wait", "ubb", rules{}, []int{0}, []int{1, 2}, false},
		{"backups serve when all others are down", "dbxb", rules{}, []int{1, 3}, nil, false},
		{"backups alone", "bb", rules{}, []int{0, 1}, nil, false},
		{"no panic at the threshold", "uudd", rules{panicBelow: 50}, []int{0, 1}, nil, false},
		{"panic below the threshold", "uddd", rules{panicBelow: 50}, []int{0, 1, 2, 3}, nil, true},
		{"panic when nothing is left", "dd", rules{panicBelow: 50}, []int{0, 1}, nil, true},
		{"no panic while backups can serve", "ddb", rules{panicBelow: 50}, []int{2}, nil, false},
		{"panic counts no backups, and leaves them out", "udddbb", rules{panicBelow: 50}, []int{0, 1, 2, 3}, []int{4, 5}, true},
		{"panic when backups are down, too", "ddx", rules{panicBelow: 50}, []int{0, 1}, nil, true},
		{"enough are up", "uud", rules{keep: 2}, []int{0, 1}, nil, false},
		{"the one that failed last is kept", "uddd", rules{keep: 2}, []int{0, 1}, nil, true},
		{"as many as there are", "dd", rules{keep: 5}, []int{0, 1}, nil, true},
		{"backups come before what must be kept", "ddb", rules{keep: 1}, []int{2}, nil, false},
		{"the order of the list stays", "dudu", rules{keep: 3}, []int{0, 1, 3}, nil, true},
		{"both rules", "dddd", rules{keep: 1, panicBelow: 30}, []int{0, 1, 2, 3}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			var ms []member
			for i, r := range c.members {
				ms = append(ms, member{
					backup: strings.ContainsRune("bx", r), available: strings.ContainsRune("ub", r),
					since: now.Add(-time.Duration(i) * time.Second),
				})
			}
			serving, reserve, forced := arrange(c.rules, ms)
			if !reflect.DeepEqual(serving, c.serving) || !reflect.DeepEqual(reserve, c.reserve) || forced != c.forced {
				t.Errorf("arrange(%+v, %s) = %v, %v, %t; want %v, %v, %t",
					c.rules, c.members, serving, reserve, forced, c.serving, c.reserve, c.forced)
			}
		})
	}
}

func TestBackupsServeOnlyWhileNoOtherDoes(t *testing.T) {
	for _, balance := range all() {
		t.Run(string(balance), func(t *testing.T) {
			s, p := of(t, balance, equal(4), func(c *Config) { c.Backends[2].Backup, c.Backends[3].Backup = true, true })
			only := func(want string) {
				t.Helper()
				for i := range 50 {
					l := mustPick(t, p, Request{Client: clientNo(i)})
					if !strings.Contains(want, l.Backend().Name()) {
						t.Fatalf("picked %s, want one of %s", l.Backend().Name(), want)
					}
					l.Done(nil)
				}
			}
			only("ab")
			s.SetUp("web", "a", false, "refused")
			only("b")
			// Who was let down by all that serve is helped before the probes know.
			if l := mustPick(t, p, Request{}, p.Backends()[1]); !strings.Contains("cd", l.Backend().Name()) {
				t.Errorf("picked %s after b had failed, want a backup", l.Backend().Name())
			}
			s.SetUp("web", "b", false, "refused")
			only("cd")
			s.SetUp("web", "a", true, "answered")
			only("a")
		})
	}
}

func TestSessionsOfWhatServesInAPanicStay(t *testing.T) {
	s, p := of(t, RoundRobin, equal(4), func(c *Config) { c.Panic = 50 })
	a, b, d := p.Backends()[0], p.Backends()[1], p.Backends()[3]
	var onA, onB, onD session
	a.Attach(&onA)
	b.Attach(&onB)
	s.SetUp("web", "a", false, "refused")
	s.SetUp("web", "b", false, "refused")
	if onA.reset != 1 || onB.reset != 1 {
		t.Fatalf("%d and %d resets before the panic, want 1 and 1", onA.reset, onB.reset)
	}
	d.Attach(&onD)
	s.SetUp("web", "d", false, "refused") // one of four is up: panic
	if onD.reset != 0 {
		t.Error("a session was reset although its backend serves on")
	}
	if got := sequence(t, p, 4); got != "abcd" {
		t.Errorf("picked %s in a panic, want abcd", got)
	}
	if !a.Attach(&onA) {
		t.Error("a backend that serves in a panic takes no session")
	}
	if st := s.Snapshot()[0]; !st.Forced || st.Available != 4 {
		t.Errorf("status %+v, want forced, 4 available", st)
	}
	s.SetUp("web", "b", true, "answered") // half are up: the panic is over, verdicts count again
	if onA.reset != 2 || onD.reset != 1 {
		t.Errorf("%d and %d resets after the panic, want 2 and 1: a and d are down", onA.reset, onD.reset)
	}
}

func TestShareOfWhatHasComeBackGrows(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, Random} {
		synctest.Test(t, func(t *testing.T) {
			s, p := of(t, balance, equal(2), func(c *Config) { c.SlowStart = 10 * time.Second })
			const n = 2200
			share := func(want float64, when string) {
				t.Helper()
				got := strings.Count(sequence(t, p, n), "b")
				if balance == RoundRobin && got != int(want*n+0.5) {
					t.Errorf("%s b has %d of %d, want %.0f", when, got, n, want*n)
				}
				near(t, when, got, n, want)
			}
			share(1./2, "at the start of the process")
			s.SetUp("web", "b", false, "refused")
			time.Sleep(time.Second)
			s.SetUp("web", "b", true, "answered")
			share(1./11, "at once, with a tenth,") // 0.1 : 1
			time.Sleep(5 * time.Second)
			share(1./3, "at half time") // 0.5 : 1
			time.Sleep(5 * time.Second)
			share(1./2, "when it has grown")
			if !p.warmUntil.IsZero() {
				t.Error("still counting the time")
			}
		})
	}
}

func TestFirstVerdictIsNoComeback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := of(t, RoundRobin, equal(2), func(c *Config) { c.SlowStart = time.Minute })
		s.SetUp("web", "b", true, "answered")
		if got := sequence(t, p, 8); got != "abababab" {
			t.Errorf("after the first verdict: %s, want turns", got)
		}
	})
}

func TestWhatComesBackAloneGetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := of(t, LeastConn, equal(1), func(c *Config) { c.SlowStart = time.Minute })
		s.SetUp("web", "a", false, "refused")
		s.SetUp("web", "a", true, "answered")
		if got := sequence(t, p, 3); got != "aaa" {
			t.Errorf("picked %s", got)
		}
	})
}

func TestSlowStartHoldsLeastConnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := of(t, LeastConn, equal(2), func(c *Config) { c.SlowStart = time.Minute })
		s.SetUp("web", "b", false, "refused")
		for range 100 {
			mustPick(t, p, Request{})
		}
		s.SetUp("web", "b", true, "answered")
		for range 20 {
			mustPick(t, p, Request{})
		}
		// Without it all 20 would go to the one that has nothing yet.
		if got := p.Backends()[1].active.Load(); got > 11 {
			t.Errorf("%d of 20 new connections went to what has just come back, want a tenth of the other's at most", got)
		}
	})
}

// In a panic the few that are up are to be relieved at once.
func TestWhatIsForcedToServeHasItsWholeShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := of(t, RoundRobin, equal(3), func(c *Config) { c.SlowStart, c.Panic = time.Minute, 50 })
		var told bytes.Buffer
		s.SetLogger(hclog.New(&hclog.LoggerOptions{Output: &told}))
		s.SetUp("web", "a", false, "refused")
		s.SetUp("web", "b", false, "refused")
		if got := sequence(t, p, 6); got != "abcabc" {
			t.Errorf("in a panic: %s, want turns", got)
		}
		s.SetUp("web", "a", true, "answered")
		if got := sequence(t, p, 6); got != "acacac" {
			t.Errorf("after it: %s; a has served all the time", got)
		}
		s.SetUp("web", "b", true, "answered")
		if got := sequence(t, p, 21); strings.Count(got, "b") != 1 {
			t.Errorf("b has come back by itself: %s, want a tenth of the others' share", got)
		}
		if got := told.String(); strings.Count(got, "too few backends") != 1 || strings.Count(got, "believed again") != 1 {
			t.Errorf("told:\n%s", got)
		}
	})
}
