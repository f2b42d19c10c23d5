package pool

import (
	"errors"
	"sync"
	"time"
)

// ErrNone means that no backend of the pool is available, or none that was not excluded.
var ErrNone = errors.New("no backend is available")

// DefaultConnectTimeout bounds one attempt to connect when the configuration says nothing. Within a
// data centre a backend answers in under a millisecond; a second leaves room for one lost SYN.
const DefaultConnectTimeout = time.Second

// Pool is a set of backends of which one is picked for each connection or request.
type Pool struct {
	name     string
	balance  Balance
	connect  time.Duration
	backends []*Backend

	mu sync.Mutex // guards the state changes of backends and the fields that balancing turns
}

// Lease is one use of a backend, from Pick to Done.
type Lease struct{ backend *Backend }

// Backend returns the picked backend.
func (l Lease) Backend() *Backend { return l.backend }

// Done ends the use; it must be called exactly once. A non-nil err counts as a failure of the backend, so
// the caller passes only what the backend is to blame for.
func (l Lease) Done(err error) {
	l.backend.active.Add(-1)
	if err != nil {
		l.backend.failures.Add(1)
	}
}

// Name returns the pool's name.
func (p *Pool) Name() string { return p.name }

// ConnectTimeout bounds one attempt to connect to a backend of this pool.
func (p *Pool) ConnectTimeout() time.Duration { return p.connect }

// Backends returns the backends in the order of the configuration. The caller must not change the slice.
func (p *Pool) Backends() []*Backend { return p.backends }

// Pick chooses an available backend that is not among exclude and counts it as in use. It never blocks
// for longer than it takes to look at every backend. The error is ErrNone.
func (p *Pool) Pick(exclude ...*Backend) (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b *Backend
	if p.balance == LeastConn {
		b = p.leastConn(exclude)
	} else {
		b = p.roundRobin(exclude, anyLoad)
	}
	if b == nil {
		return Lease{}, ErrNone
	}
	b.active.Add(1)
	b.total.Add(1)
	return Lease{backend: b}, nil
}

// anyLoad lets roundRobin choose among all backends.
const anyLoad = -1

// roundRobin is nginx's smooth weighted round-robin: every candidate gains its weight, the one with
// most is chosen and pays the sum. A heavy backend is so spread between the light ones. With load other
// than anyLoad only backends that are as busy as backend number load are candidates.
func (p *Pool) roundRobin(exclude []*Backend, load int) *Backend {
	var best *Backend
	sum := 0
	for _, b := range p.backends {
		if !usable(b, exclude) || load != anyLoad && compareLoad(b, p.backends[load]) != 0 {
			continue
		}
		b.current += b.weight
		sum += b.weight
		if best == nil || b.current > best.current {
			best = b
		}
	}
	if best != nil {
		best.current -= sum
	}
	return best
}

// leastConn chooses the backend with the fewest connections for its weight. Among equals it goes round,
// or else the first in the list would get everything while the load is light.
func (p *Pool) leastConn(exclude []*Backend) *Backend {
	var best *Backend
	ties := false
	for _, b := range p.backends {
		if !usable(b, exclude) {
			continue
		}
		if best == nil {
			best = b
			continue
		}
		switch c := compareLoad(b, best); {
		case c < 0:
			best, ties = b, false
		case c == 0:
			ties = true
		}
	}
	if !ties {
		return best
	}
	return p.roundRobin(exclude, best.index)
}

// compareLoad compares connections per weight without dividing.
func compareLoad(a, b *Backend) int {
	x, y := a.active.Load()*int64(b.weight), b.active.Load()*int64(a.weight)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// usable reports whether b may be picked.
func usable(b *Backend, exclude []*Backend) bool {
	if b.State() == Down {
		return false
	}
	for _, e := range exclude {
		if e == b {
			return false
		}
	}
	return true
}

// setUp records what a probe found and returns the sessions that it ends.
func (p *Pool) setUp(name string, up bool, reason string) []Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.backends {
		if b.name != name {
			continue
		}
		s := Down
		if up {
			s = Up
		}
		if b.State() != s {
			// What a backend was owed before it went away is not owed when it comes back.
			b.current = 0
		}
		return b.set(s, reason)
	}
	return nil
}
