package track

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// Status is what is known of one thing. It is a copy.
type Status struct {
	Kind     Kind
	Name     string
	Weight   int
	Absolute bool
	State    State
	Since    time.Time // when State began
	Reason   string    // what the newest check found; empty before the first
	At       time.Time // when it ended; zero before the first
	Took     time.Duration
}

// checkFunc makes one check; nil means that all is well. It returns soon after ctx ends.
type checkFunc func(ctx context.Context) error

// Tracker watches things. Its methods may be called concurrently.
type Tracker struct {
	items   []Item
	checks  []checkFunc
	log     hclog.Logger
	links   func(ctx context.Context, changed func()) error // follows the kernel's reports about interfaces
	seed    uint64
	changed chan struct{}

	mu     sync.Mutex // guards status
	status []Status   // one per item, in order
}

// New returns a tracker of items, which get their defaults here; it does nothing before Run.
func New(items []Item, log hclog.Logger) *Tracker {
	return newTracker(items, log, realCheck, watchLinks, rand.Uint64())
}

func newTracker(items []Item, log hclog.Logger, check func(Item) checkFunc, links func(context.Context, func()) error, seed uint64) *Tracker {
	t := &Tracker{log: log, links: links, seed: seed, changed: make(chan struct{}, 1)}
	now := time.Now()
	for _, i := range items {
		i = i.WithDefaults()
		t.items = append(t.items, i)
		t.checks = append(t.checks, check(i))
		t.status = append(t.status, Status{Kind: i.Kind, Name: i.Name, Weight: i.Weight, Absolute: i.Absolute, State: Unchecked, Since: now})
	}
	return t
}

// Snapshot returns the status of every thing, in the order in which they were given.
func (t *Tracker) Snapshot() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Status(nil), t.status...)
}

// Changed is poked when the state of a thing changes, or the reason why it fails. One poke may stand for several changes.
func (t *Tracker) Changed() <-chan struct{} { return t.changed }

// Run checks until ctx ends, and then returns nil once every check has ended. It is called once.
func (t *Tracker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wakes := make([]chan struct{}, len(t.items))
	for i, item := range t.items {
		if item.Absolute {
			t.log.Warn("a tracked thing is absolute: where it fails on all nodes, nobody holds the VIP", "kind", item.Kind, "name", item.Name)
		}
		wakes[i] = make(chan struct{}, 1)
		wg.Go(func() { t.watch(ctx, i, wakes[i]) })
	}
	t.follow(ctx, wakes)
	<-ctx.Done()
	return nil
}

// retryLinks is how long after an error the kernel's reports are asked for again; until then interfaces are looked at by their interval.
const retryLinks = 5 * time.Second

// follow wakes the watchers of interfaces at every report of the kernel.
func (t *Tracker) follow(ctx context.Context, wakes []chan struct{}) {
	var mine []chan struct{}
	for i, item := range t.items {
		if item.Kind == Interface {
			mine = append(mine, wakes[i])
		}
	}
	told := false
	for len(mine) > 0 && ctx.Err() == nil {
		err := t.links(ctx, func() {
			for _, w := range mine {
				poke(w)
			}
		})
		if err != nil && !told && ctx.Err() == nil {
			told = true
			t.log.Warn("tracked interfaces cannot be followed, only looked at every interval", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryLinks):
		}
	}
}

// spread bounds how far apart the first checks are.
const spread = 500 * time.Millisecond

// watch checks one thing until ctx ends. It alone owns the thing's series.
func (t *Tracker) watch(ctx context.Context, i int, wake <-chan struct{}) {
	item := t.items[i]
	s := &series{rise: item.Rise, fall: item.Fall, linger: item.Linger, proven: item.Kind == Gateway, state: Unchecked}
	random := rand.New(rand.NewPCG(t.seed, uint64(i))) //nolint:gosec // jitter, not a secret
	timer := time.NewTimer(min(spread, item.Interval) * time.Duration(i) / time.Duration(len(t.items)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
		start := time.Now()
		r := t.check(ctx, i)
		if ctx.Err() != nil {
			return // cut short: not a result
		}
		t.note(i, s, r)
		pause := item.Interval
		if s.changing() || s.spared {
			pause = min(pause, max(pause/4, 100*time.Millisecond))
		}
		timer.Reset(time.Until(start.Add(time.Duration(float64(pause) * (0.9 + 0.2*random.Float64())))))
	}
}

// slack is how much longer than its timeout a check may take on a host that is not starved.
const slack = 250 * time.Millisecond

func (t *Tracker) check(ctx context.Context, i int) result {
	item := t.items[i]
	limited, cancel := context.WithTimeout(ctx, item.Timeout)
	defer cancel()
	start := time.Now()
	err := t.checks[i](limited)
	r := result{ok: err == nil, reason: "ok", took: time.Since(start)}
	if err != nil {
		r.reason = line(err.Error())
		if errors.Is(err, context.DeadlineExceeded) {
			r.reason = "no answer within " + item.Timeout.String()
		}
		r.late = r.took > item.Timeout+slack
	}
	return r
}

// note stores and tells the result of a check.
func (t *Tracker) note(i int, s *series, r result) {
	item, now := t.items[i], time.Now()
	log := t.log.With("kind", item.Kind, "name", item.Name)
	log.Debug("checked", "ok", r.ok, "reason", r.reason, "took", r.took, "late", r.late)
	unproven := s.proven && s.state == Unchecked && !r.ok && s.count == s.fall-1
	changed := s.add(r, now)
	t.mu.Lock()
	st := &t.status[i]
	if changed {
		st.State, st.Since = s.state, now
	}
	changed = changed || (s.state == Failing && !r.ok && st.Reason != r.reason)
	st.Reason, st.At, st.Took = r.reason, now, r.took
	told := *st
	t.mu.Unlock()
	if unproven {
		log.Warn("tracked gateway has never answered, so it does not count", "reason", r.reason)
	}
	if !changed {
		return
	}
	switch {
	case told.Since != now: // only the reason is new
	case told.State == Failing:
		log.Warn("tracked thing fails", "reason", r.reason, "weight", item.Weight, "absolute", item.Absolute, "after", s.count)
	default:
		log.Info("tracked thing is well", "reason", r.reason, "after", s.count)
	}
	poke(t.changed)
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// maxReason bounds a reason: parts of it come from scripts.
const maxReason = 200

// line makes text fit for logs and terminals: one line, no control characters, bounded.
func line(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	if len(s) > maxReason {
		s = s[:maxReason] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
