package health

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Status is what is known of one target. It is a copy.
type Status struct {
	Pool, Backend string
	Address       netip.AddrPort // what is probed: the backend's address, with the probe's port
	State         State
	Since         time.Time     // when State began
	Reason        string        // what the newest probe found, in words; empty before the first
	OK            bool          // whether the newest probe that counted was a success
	Count         int           // how many probes in a row had that result
	At            time.Time     // when the newest probe ended; zero before the first
	Took          time.Duration // how long it took
}

// Checker probes targets. Its methods may be called concurrently.
type Checker struct {
	targets []Target
	report  func(pool, backend string, up bool, reason string)
	log     hclog.Logger
	dial    dialFunc
	seed    uint64 // of the jitter

	mu     sync.Mutex // guards status
	status []Status   // one per target, in order
}

// change is a new state of one target, on its way from its prober to Run.
type change struct {
	target int
	status Status
}

// New returns a checker of targets; it does nothing before Run. Run calls report when the state of a backend
// changes, one call at a time and in order, from unchecked to up and to down included; report must be quick and may
// be nil. Configurations get their defaults here.
func New(targets []Target, report func(pool, backend string, up bool, reason string), log hclog.Logger) *Checker {
	return NewOn(nil, targets, report, log)
}

// NewOn is New with connections made by dial, which must heed its context; nil: TCP of this host.
func NewOn(dial func(context.Context, netip.AddrPort) (net.Conn, error), targets []Target, report func(pool, backend string, up bool, reason string), log hclog.Logger) *Checker {
	if dial == nil {
		dial = dialTCP
	}
	return newChecker(targets, report, log, dial, rand.Uint64())
}

func newChecker(targets []Target, report func(pool, backend string, up bool, reason string), log hclog.Logger, dial dialFunc, seed uint64) *Checker {
	if report == nil {
		report = func(string, string, bool, string) {}
	}
	c := &Checker{report: report, log: log, dial: dial, seed: seed}
	now := time.Now()
	for _, t := range targets {
		t.Config = t.Config.WithDefaults()
		c.targets = append(c.targets, t)
		c.status = append(c.status, Status{
			Pool: t.Pool, Backend: t.Backend, Address: newProber(t, dial).addr, State: Unchecked, Since: now,
		})
	}
	return c
}

// Snapshot returns the status of every target, in the order in which they were given.
func (c *Checker) Snapshot() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Status(nil), c.status...)
}

// Run probes until ctx ends, and then returns nil once every probe has ended. It is called once.
func (c *Checker) Run(ctx context.Context) error {
	changes := make(chan change)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, t := range c.targets {
		if t.Config.Type == None {
			continue
		}
		wg.Go(func() { c.watch(ctx, i, changes) })
	}
	pools := c.pools()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ch := <-changes:
			c.tell(ch, pools[ch.status.Pool])
		}
	}
}

// watch probes one target until ctx ends. It alone owns the target's track.
func (c *Checker) watch(ctx context.Context, i int, changes chan<- change) {
	w := newWatch(c.targets[i], c.dial, c.log)
	random := rand.New(rand.NewPCG(c.seed, uint64(i))) //nolint:gosec // jitter, not a secret
	timer := time.NewTimer(spread(i, len(c.targets), w.cfg.Interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		r := w.probe(ctx)
		if ctx.Err() != nil {
			return // cut short: not a result
		}
		if st, changed := c.note(i, w, r); changed {
			select {
			case changes <- change{i, st}:
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(time.Until(start.Add(jitter(w.pause(), random.Float64()))))
	}
}

// note stores the result of a probe and returns the new status, and whether its state is new.
func (c *Checker) note(i int, w *watch, r result) (Status, bool) {
	changed := w.take(r)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &c.status[i]
	if changed {
		st.State, st.Since = w.track.state, now
	}
	st.OK, st.Count = w.track.ok, w.track.count
	st.Reason, st.At, st.Took = r.reason, now, r.took
	return *st, changed
}

// tell reports and logs one change.
func (c *Checker) tell(ch change, p *members) {
	st := ch.status
	c.report(st.Pool, st.Backend, st.State == Up, st.Reason)
	pairs := []any{"pool", st.Pool, "backend", st.Backend, "addr", st.Address, "reason", st.Reason, "took", st.Took, "after", st.Count}
	if st.State == Up {
		c.log.Info("backend up", pairs...)
	} else {
		c.log.Info("backend down", pairs...)
	}
	switch was, is := p.set(ch.target, st.State == Down); {
	case is && !was:
		c.log.Warn("pool has no backend up", "pool", st.Pool, "backends", p.size, "reason", st.Reason)
	case was && !is:
		c.log.Info("pool has a backend up again", "pool", st.Pool, "backend", st.Backend)
	}
}
