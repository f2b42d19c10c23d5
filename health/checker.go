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
	report  func(pool, backend string, up bool, reason string)
	log     hclog.Logger
	dial    dialFunc
	seed    uint64 // of the jitter
	changes chan change
	where   func(pool, backend string) (netip.AddrPort, string)
	telling sync.Mutex // held while a change is told, or the targets are changed; before mu

	mu      sync.Mutex      // guards what follows
	targets []*subject      // in order
	ctx     context.Context // of Run; nil when it does not run
	probers sync.WaitGroup
}

// subject is one backend with what is known of it. mu of the checker guards what is not constant.
type subject struct {
	Target
	status Status
	track  track // as it was when the target took another's place
	stop   context.CancelFunc
	at     netip.AddrPort // where it is, if it is known by name
	down   bool           // it was told to be
	gone   bool
}

// change is a new state of one target, on its way from its prober to Run.
type change struct {
	target *subject
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
	c := &Checker{report: report, log: log, dial: dial, seed: seed, changes: make(chan change)}
	c.where = func(string, string) (netip.AddrPort, string) { return netip.AddrPort{}, "nobody knows where it is" }
	for _, t := range targets {
		c.targets = append(c.targets, c.newTarget(t))
	}
	return c
}

func (c *Checker) newTarget(t Target) *subject {
	t.Config = t.Config.WithDefaults()
	return &subject{
		Target: t, track: track{state: Unchecked},
		status: Status{Pool: t.Pool, Backend: t.Backend, Address: newProber(t, c.dial).addr, State: Unchecked, Since: time.Now()},
	}
}

// Locate has where asked, before each probe of a backend that is known by name, where it is. Without an address the probe has failed, for the
// reason given, or without a reason is left out. It is called before Run.
func (c *Checker) Locate(where func(pool, backend string) (at netip.AddrPort, reason string)) {
	c.where = where
}

// Snapshot returns the status of every target, in the order in which they were given.
func (c *Checker) Snapshot() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Status
	for _, t := range c.targets {
		all = append(all, t.status)
	}
	return all
}

// Run probes until ctx ends, and then returns nil once every probe has ended. It is called once.
func (c *Checker) Run(ctx context.Context) error {
	c.begin(ctx)
	defer c.probers.Wait()
	for {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.ctx = nil
			c.mu.Unlock()
			return nil
		case ch := <-c.changes:
			c.tell(ch)
		}
	}
}

func (c *Checker) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	for i, t := range c.targets {
		c.start(t, i, len(c.targets)) //nolint:contextcheck // it has it from c
	}
}

// start has a target probed, the i-th of n that are started together. The caller holds mu.
func (c *Checker) start(t *subject, i, n int) {
	if t.Config.Type == None || c.ctx == nil {
		return
	}
	ctx, stop := context.WithCancel(c.ctx)
	t.stop = stop
	c.probers.Go(func() { c.watch(ctx, t, i, n) })
}

// watch probes one target until ctx ends.
func (c *Checker) watch(ctx context.Context, t *subject, i, n int) {
	target := t.Target
	c.mu.Lock()
	if t.Host != "" {
		target.Address = t.at
	}
	c.mu.Unlock()
	w := newWatch(target, c.dial, c.log)
	w.track.state = t.track.state
	random := rand.New(rand.NewPCG(c.seed, uint64(i))) //nolint:gosec // jitter, not a secret
	timer := time.NewTimer(spread(i, n, w.cfg.Interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		r, ok := c.once(ctx, t, w)
		if !ok {
			timer.Reset(jitter(w.pause(), random.Float64()))
			continue
		}
		if ctx.Err() != nil {
			return // cut short: not a result
		}
		if st, changed := c.note(t, w, r); changed {
			select {
			case c.changes <- change{t, st}:
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(time.Until(start.Add(jitter(w.pause(), random.Float64()))))
	}
}

// once makes one probe, unless there is nothing to probe.
func (c *Checker) once(ctx context.Context, t *subject, w *watch) (result, bool) {
	if t.Host == "" {
		return w.probe(ctx), true
	}
	at, reason := c.where(t.Pool, t.Backend)
	if w.seek(at, reason, c.dial) {
		c.mu.Lock()
		t.at, t.track = at, w.track
		t.status = Status{Pool: t.Pool, Backend: t.Backend, Address: w.addr, State: Unchecked, Since: time.Now()}
		c.mu.Unlock()
	}
	switch {
	case w.idle:
		return result{}, false
	case reason != "":
		return failed(reason), true
	}
	return w.probe(ctx), true
}

// note stores the result of a probe and returns the new status, and whether its state is new.
func (c *Checker) note(t *subject, w *watch, r result) (Status, bool) {
	changed := w.take(r)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &t.status
	if changed {
		st.State, st.Since = w.track.state, now
	}
	st.OK, st.Count = w.track.ok, w.track.count
	st.Reason, st.At, st.Took = r.reason, now, r.took
	t.track = w.track
	return *st, changed
}

// tell reports and logs one change, unless its target has gone meanwhile.
func (c *Checker) tell(ch change) {
	c.telling.Lock()
	defer c.telling.Unlock()
	c.mu.Lock()
	gone := ch.target.gone
	c.mu.Unlock()
	if gone {
		return
	}
	st := ch.status
	c.report(st.Pool, st.Backend, st.State == Up, st.Reason)
	pairs := []any{"pool", st.Pool, "backend", st.Backend, "addr", told(ch.target.Host, st.Address), "reason", st.Reason, "took", st.Took, "after", st.Count}
	if st.State == Up {
		c.log.Info("backend up", pairs...)
	} else {
		c.log.Info("backend down", pairs...)
	}
	was, is, size := c.empty(ch.target, st.State == Down)
	switch {
	case is && !was:
		c.log.Warn("pool has no backend up", "pool", st.Pool, "backends", size, "reason", st.Reason)
	case was && !is:
		c.log.Info("pool has a backend up again", "pool", st.Pool, "backend", st.Backend)
	}
}

// empty notes what was told of a target, and returns whether its whole pool was told to be down before that, and is now.
func (c *Checker) empty(told *subject, down bool) (was, is bool, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, is = told.down, down
	told.down = down
	for _, t := range c.targets {
		if t.Pool == told.Pool {
			size++
			if t != told {
				was, is = was && t.down, is && t.down
			}
		}
	}
	return was, is, size
}
