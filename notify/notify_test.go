package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/command"
)

// shell stands for the commands: it notes what it was told.
type shell struct {
	mu    sync.Mutex // guards the rest
	takes time.Duration
	fails error
	says  string
	told  []map[string]string
	busy  bool
	log   bytes.Buffer
}

func (s *shell) run(ctx context.Context, c command.Command) (string, error) {
	env := map[string]string{"argv": strings.Join(c.Argv, " ")}
	for _, v := range c.Env {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	s.mu.Lock()
	takes, out, err := s.takes, s.says, s.fails
	if s.busy {
		panic("two commands at a time")
	}
	s.busy = true
	s.mu.Unlock()
	t := time.NewTimer(min(takes, c.Timeout))
	defer t.Stop()
	select {
	case <-t.C:
		if takes > c.Timeout {
			err = command.ErrTimeout
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	s.told = append(s.told, env)
	return out, err
}

// events lists what was told, in order.
func (s *shell) events() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, e := range s.told {
		list = append(list, e["TANDEM_EVENT"])
	}
	return strings.Join(list, " ")
}

func notifier(s *shell, on ...Event) *Notifier {
	if len(on) == 0 {
		on = Events()
	}
	hook := Hook{On: on, Command: command.Command{Argv: []string{"/hook"}, Timeout: 30 * time.Second}}
	return New(Config{Node: "lb1", Boot: "b00t", VIPs: "10.0.0.10 10.0.0.11", Hooks: []Hook{hook}, Run: s.run}, hclog.New(&hclog.LoggerOptions{Output: &s.log}))
}

// bubble runs f with a running notifier, and ends it.
func bubble(t *testing.T, s *shell, on []Event, f func(n *Notifier, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := notifier(s, on...)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = n.Run(ctx) }()
		stop := sync.OnceFunc(func() { cancel(); <-done })
		f(n, stop)
		stop()
	})
}

func TestChangesAreToldOnceAndInOrder(t *testing.T) {
	s := &shell{takes: time.Second}
	bubble(t, s, nil, func(n *Notifier, _ func()) {
		since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		for _, e := range []Event{Standby, Standby, Leader, Leader, Dual, "", Leader} {
			n.Observe(State{Event: e, Since: since, Term: 7, Reason: "nobody\nholds", Code: "vacant", Peer: "lb2", Leader: "lb1"})
		}
		time.Sleep(10 * time.Second)
		if got := s.events(); got != "standby leader dual leader" {
			t.Fatalf("told %q", got)
		}
		want := map[string]string{
			"argv": "/hook", "TANDEM_EVENT": "leader", "TANDEM_EVENT_ID": "b00t-2", "TANDEM_PREVIOUS": "standby", "TANDEM_NOW": "leader", "TANDEM_SKIPPED": "0",
			"TANDEM_NODE": "lb1", "TANDEM_VIPS": "10.0.0.10 10.0.0.11", "TANDEM_TERM": "7", "TANDEM_REASON": "nobody holds", "TANDEM_REASON_CODE": "vacant",
			"TANDEM_PEER": "lb2", "TANDEM_LEADER": "lb1", "TANDEM_SINCE": "2026-01-02T03:04:05.000000006Z",
		}
		for k, v := range want {
			if s.told[1][k] != v {
				t.Errorf("%s=%q, want %q", k, s.told[1][k], v)
			}
		}
		if len(s.told[1]) != len(want) {
			t.Errorf("told %v", s.told[1])
		}
	})
}

func TestACommandIsToldOnlyOfWhatItAskedFor(t *testing.T) {
	s := &shell{}
	bubble(t, s, []Event{Leader, Stopped}, func(n *Notifier, stop func()) {
		for _, e := range []Event{Standby, Leader, Unfit} {
			n.Observe(State{Event: e})
		}
		stop()
		if got := s.events(); got != "leader stopped" {
			t.Errorf("told %q", got)
		}
	})
}

func TestASlowCommandDelaysNobodyAndTheNewestIsAlwaysTold(t *testing.T) {
	s := &shell{takes: 10 * time.Second}
	bubble(t, s, nil, func(n *Notifier, stop func()) {
		began := time.Now()
		n.Observe(State{Event: Standby})
		time.Sleep(time.Second) // now the command runs
		for i := range 20 {
			n.Observe(State{Event: []Event{Leader, Standby}[i%2]})
		}
		n.Observe(State{Event: Unfit})
		if d := time.Since(began); d != time.Second {
			t.Errorf("the observer waited for %v", d-time.Second)
		}
		time.Sleep(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.told) != 1+maxWaiting || s.told[len(s.told)-1]["TANDEM_EVENT"] != "unfit" || s.told[len(s.told)-1]["TANDEM_EVENT_ID"] != "b00t-22" {
			t.Errorf("told %v", s.told)
		}
		if got := s.told[1]["TANDEM_SKIPPED"]; got != fmt.Sprint(21-maxWaiting) {
			t.Errorf("told that %s were skipped", got)
		}
		if s.told[1]["TANDEM_NOW"] != "unfit" {
			t.Errorf("a late command is told that the node is %q now", s.told[1]["TANDEM_NOW"])
		}
		s.mu.Unlock()
		stop()
		s.mu.Lock()
		if log := s.log.String(); !strings.Contains(log, "events were skipped: a command took too long: count=13") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestACommandThatFailsIsLoggedAndNotTriedAgain(t *testing.T) {
	s := &shell{fails: errors.New("exit status 3"), says: "cannot\x1b[2J\nwrite"}
	bubble(t, s, []Event{Leader}, func(n *Notifier, stop func()) {
		n.Observe(State{Event: Leader})
		time.Sleep(time.Hour)
		stop()
		if got := s.events(); got != "leader" {
			t.Errorf("told %q", got)
		}
		if log := s.log.String(); !strings.Contains(log, `command failed: command=/hook event=leader id=b00t-1 output="cannot?[2J write" took=0s err="exit status 3"`) {
			t.Errorf("log: %s", log)
		}
	})
}

func TestTheEndIsToldWithinItsTime(t *testing.T) {
	s := &shell{takes: 20 * time.Second}
	bubble(t, s, nil, func(n *Notifier, stop func()) {
		n.Observe(State{Event: Leader})
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if d := time.Since(began); d > stopTime {
			t.Errorf("the end took %v, want at most %v", d, stopTime)
		}
		if !strings.HasSuffix(s.events(), "stopped") {
			t.Errorf("told %q", s.events())
		}
	})
}

func TestCommandsOfOneEventRunInTheirOrder(t *testing.T) {
	s := &shell{takes: time.Second}
	synctest.Test(t, func(t *testing.T) {
		n := notifier(s)
		second := n.hooks[0]
		second.Command.Argv = []string{"/second"}
		n.SetHooks(append(n.hooks, second))
		ctx, cancel := context.WithCancel(t.Context())
		n.Observe(State{Event: Leader})
		n.Observe(State{Event: Standby})
		go func() { time.Sleep(10 * time.Second); cancel() }()
		_ = n.Run(ctx)
		var got []string
		for _, e := range s.told[:4] {
			got = append(got, e["argv"]+" "+e["TANDEM_EVENT"])
		}
		if want := []string{"/hook leader", "/second leader", "/hook standby", "/second standby"}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}
