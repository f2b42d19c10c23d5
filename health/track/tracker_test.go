package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fake is a thing whose state the test says.
type fake struct {
	mu   sync.Mutex // guards what follows
	err  error
	hang time.Duration
	n    int
}

func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *fake) check(ctx context.Context) error {
	f.mu.Lock()
	err, hang := f.err, f.hang
	f.n++
	f.mu.Unlock()
	if hang == 0 {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(hang):
		return err
	}
}

// play runs a tracker of one thing under fake time.
func play(t *testing.T, item Item, story func(tr *Tracker, f *fake, report func())) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		reports := make(chan struct{})
		links := func(ctx context.Context, changed func()) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-reports:
					changed()
				}
			}
		}
		tr := newTracker([]Item{item}, hclog.New(&hclog.LoggerOptions{Output: &log, DisableTime: true}), func(Item) checkFunc { return f.check }, links, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tr.Run(ctx) }()
		synctest.Wait()
		story(tr, f, func() { reports <- struct{}{}; synctest.Wait() })
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return log.String()
}

func state(tr *Tracker) State { return tr.Snapshot()[0].State }

func TestRiseAndFall(t *testing.T) {
	item := Item{Kind: Script, Name: "db", Interval: 10 * time.Second, Rise: 2, Fall: 3}
	log := play(t, item, func(tr *Tracker, f *fake, _ func()) {
		if got := state(tr); got != Well {
			t.Errorf("after a first success: %s", got)
		}
		f.set(errors.New("no\nconnection\x1b"))
		time.Sleep(11 * time.Second) // one failure, and the fast interval has not brought the third
		if got := state(tr); got != Well {
			t.Errorf("after the first failure: %s", got)
		}
		time.Sleep(6 * time.Second)
		s := tr.Snapshot()[0]
		if s.State != Failing || s.Reason != "no; connection?" {
			t.Errorf("after three failures: %s, %q", s.State, s.Reason)
		}
		select {
		case <-tr.Changed():
		default:
			t.Error("a change was not told")
		}
		f.set(nil)
		time.Sleep(12 * time.Second)
		f.set(errors.New("again"))
		time.Sleep(10 * time.Second)
		f.set(nil)
		time.Sleep(30 * time.Second)
		if got := state(tr); got != Well {
			t.Errorf("long after it: %s", got)
		}
	})
	if n := strings.Count(log, "tracked thing fails"); n != 1 {
		t.Errorf("told %d times that it fails, want once:\n%s", n, log)
	}
	if n := strings.Count(log, "tracked thing is well"); n != 2 {
		t.Errorf("told %d times that it is well, want twice (first verdict, recovery):\n%s", n, log)
	}
}

func TestSuccessesMustBeConsecutive(t *testing.T) {
	s := series{rise: 2, fall: 2, state: Failing}
	for i, c := range []struct {
		ok   bool
		want State
	}{{true, Failing}, {false, Failing}, {true, Failing}, {true, Well}, {false, Well}, {true, Well}, {false, Well}, {false, Failing}} {
		if s.add(result{ok: c.ok}, time.Now()); s.state != c.want {
			t.Errorf("result %d (%v): %s, want %s", i, c.ok, s.state, c.want)
		}
	}
}

func TestHangingCheckFails(t *testing.T) {
	play(t, Item{Kind: Script, Name: "s", Interval: 10 * time.Second, Timeout: 2 * time.Second}, func(tr *Tracker, f *fake, _ func()) {
		f.mu.Lock()
		f.hang = time.Hour
		f.mu.Unlock()
		time.Sleep(time.Minute)
		if s := tr.Snapshot()[0]; s.State != Failing || s.Reason != "no answer within 2s" {
			t.Errorf("%+v, want failing for its timeout", s)
		}
	})
}

func TestGatewayThatNeverAnsweredDoesNotCount(t *testing.T) {
	item := Item{Kind: Gateway, Name: "10.0.0.1"}
	play(t, item, func(tr *Tracker, f *fake, _ func()) { // one that has answered once does
		f.set(errors.New("no answer"))
		time.Sleep(time.Minute)
		if got := state(tr); got != Failing {
			t.Errorf("state %s of a gateway that has answered, want failing", got)
		}
	})
	never := func(Item) checkFunc { return func(context.Context) error { return errors.New("no answer") } }
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tr := newTracker([]Item{item}, hclog.New(&hclog.LoggerOptions{Output: &log}), never, nil, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tr.Run(ctx) }()
		time.Sleep(time.Minute)
		if got := state(tr); got != Unchecked {
			t.Errorf("state %s, want unchecked", got)
		}
		cancel()
		<-done
		if n := strings.Count(log.String(), "has never answered"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, &log)
		}
	})
}

func TestInterfaceIsLookedAtWhenTheKernelReports(t *testing.T) {
	play(t, Item{Kind: Interface, Name: "eth1", Interval: time.Hour}, func(tr *Tracker, f *fake, report func()) {
		f.set(errors.New("no carrier"))
		report()
		if got := state(tr); got != Failing {
			t.Errorf("after the report: %s, want failing at once", got)
		}
		f.set(nil)
		report()
		if got := state(tr); got != Failing {
			t.Errorf("after one look at a link that is back: %s, want failing until it has stayed", got)
		}
	})
}

func TestFailureLingers(t *testing.T) {
	item := Item{Kind: Own, Name: "data plane", Interval: time.Second, Rise: 2, Fall: 1, Linger: time.Minute}
	play(t, item, func(tr *Tracker, f *fake, _ func()) {
		f.set(errors.New("refused"))
		time.Sleep(5 * time.Second)
		f.set(nil)
		time.Sleep(55 * time.Second)
		if got := state(tr); got != Failing {
			t.Errorf("55 s after it: %s", got)
		}
		time.Sleep(10 * time.Second)
		if got := state(tr); got != Well {
			t.Errorf("65 s after it: %s", got)
		}
	})
}

func TestLateFailureIsForgivenOnce(t *testing.T) {
	s := series{rise: 1, fall: 1, state: Well}
	late := result{late: true}
	if s.add(late, time.Now()); s.state != Well {
		t.Error("one late failure counted")
	}
	if s.add(late, time.Now()); s.state != Failing {
		t.Error("two late failures in a row did not count")
	}
}

func TestChecksAreJitteredAndBounded(t *testing.T) {
	play(t, Item{Kind: File, Name: "f", Interval: time.Second}, func(_ *Tracker, f *fake, _ func()) {
		time.Sleep(100 * time.Second)
		if n := f.count(); n < 90 || n > 112 {
			t.Errorf("%d checks in 100 s at 1 s", n)
		}
	})
}

func TestAbsoluteIsToldAtTheStart(t *testing.T) {
	log := play(t, Item{Kind: File, Name: "f", Absolute: true}, func(*Tracker, *fake, func()) {})
	if !strings.Contains(log, "where it fails on all nodes, nobody holds the VIP") {
		t.Errorf("log:\n%s", log)
	}
}

func TestDefaults(t *testing.T) {
	for _, k := range []Kind{Interface, Gateway, Script, Process, File, Own} {
		d := Item{Kind: k}.WithDefaults()
		if d.Weight < 1 || d.Interval <= 0 || d.Timeout <= 0 || d.Timeout > d.Interval || d.Rise < 1 || d.Fall < 1 {
			t.Errorf("%s: %+v", k, d)
		}
	}
	if d := (Item{Kind: Script, Interval: time.Second, Timeout: 5 * time.Second}).WithDefaults(); d.Timeout != time.Second {
		t.Errorf("a timeout beyond the interval: %v", d.Timeout)
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\n":                   "a; b",
		"\x1b[31mred\x00":          "?[31mred?",
		strings.Repeat("x", 10000): strings.Repeat("x", maxReason) + "…",
	} {
		if got := line(in); got != want {
			t.Errorf("line(%.20q) = %q, want %q", in, got, want)
		}
	}
}

func ExampleTracker() {
	tr := New([]Item{{Kind: File, Name: "/etc/passwd", Path: "/etc/passwd"}}, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	<-tr.Changed()
	fmt.Println(tr.Snapshot()[0].State)
	cancel()
	<-done
	// Output: ok
}
