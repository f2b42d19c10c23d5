package udp

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

const (
	// tick is how often idle flows are looked for.
	tick = time.Second
	// lastAnswers is how long answers are waited for after the end has been asked for. Who has waited longer than that for an answer
	// will most probably get none.
	lastAnswers = 250 * time.Millisecond
)

// Relay forwards between one socket and a pool. Its methods may be called from any goroutine.
type Relay struct {
	log   hclog.Logger
	set   atomic.Pointer[settings]
	stats counters

	mu   sync.Mutex // guards what follows
	wake int        // the eventfd of the running loop; -1 if none runs
	mail []name     // flows whose backends went down
	all  bool       // all flows are to end
}

type counters struct {
	flows                                                atomic.Int64
	opened, evicted, refused, received, answers, dropped atomic.Uint64
}

// name names a flow for ever.
type name struct{ slot, gen int32 }

// New returns a relay, which does nothing until Run.
func New(cfg Config, backends *pool.Pool, log hclog.Logger) *Relay {
	r := &Relay{log: log, wake: -1}
	r.Set(cfg, backends)
	return r
}

// settings is what Set changes.
type settings struct {
	Config
	pool *pool.Pool
}

// Set changes what is done with flows from now on; those that are there keep their backends.
func (r *Relay) Set(cfg Config, backends *pool.Pool) { r.set.Store(&settings{cfg, backends}) }

func (r *Relay) conf() *settings { return r.set.Load() }

// Stats counts.
func (r *Relay) Stats() Stats {
	c := &r.stats
	return Stats{
		Flows: int(c.flows.Load()), Opened: c.opened.Load(), Evicted: c.evicted.Load(), Refused: c.refused.Load(),
		Received: c.received.Load(), Answers: c.answers.Load(), Dropped: c.dropped.Load(),
	}
}

// Reset ends all flows. What clients send next begins new ones.
func (r *Relay) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = r.wake >= 0
	r.poke()
}

// down has a flow end because its backend went down.
func (r *Relay) down(n name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mail = append(r.mail, n)
	r.poke()
}

// poke wakes the loop. The caller holds mu.
func (r *Relay) poke() {
	if r.wake >= 0 {
		one := [8]byte{0: 1}
		_, _ = unix.Write(r.wake, one[:])
	}
}

// session ends a flow with its backend.
type session struct {
	relay *Relay
	name  name
}

// Reset is called by the pool.
func (s *session) Reset() { s.relay.down(s.name) }

// Run forwards until ctx is done, then waits for answers that are on their way, but not for long, and returns nil. It takes s over. Another
// error means that the socket is of no use any more. One Run at a time.
func (r *Relay) Run(ctx context.Context, s *Socket) error {
	l, err := r.newLoop(s)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	stop := context.AfterFunc(ctx, func() { //nolint:contextcheck // nothing is waited for
		r.mu.Lock()
		defer r.mu.Unlock()
		r.poke()
	})
	defer stop()
	defer l.close()
	return l.run(ctx)
}

// letters returns what others have asked for since the last time.
func (r *Relay) letters() (mail []name, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mail, all = r.mail, r.all
	r.mail, r.all = nil, false
	return mail, all
}

// isTimeout reports whether err is a deadline that has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
