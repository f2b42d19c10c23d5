package pool

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// ErrNone means that no backend of the pool is available, or none that was not excluded.
var ErrNone = errors.New("no backend is available")

// ErrFull means that every backend that could be picked has as many connections as it may have, or the pool has. Wait waits for one.
var ErrFull = errors.New("every backend has as many connections as it may have")

// DefaultConnectTimeout bounds one attempt to connect when the configuration says nothing. Within a
// data centre a backend answers in under a millisecond; a second leaves room for one lost SYN.
const DefaultConnectTimeout = time.Second

// Pool is a set of backends of which one is picked for each connection or request.
type Pool struct {
	name     string
	seed     uint64
	settings atomic.Pointer[settings] // written under changing and mu
	log      hclog.Logger

	born     time.Time
	returns  atomic.Int64 // when the next ejected backend comes back, since born; zero: none is out
	retrying atomic.Int64
	choices  atomic.Int32 // how many backends are in rotation or in reserve

	changing sync.Mutex // held while the state of a backend changes and the rotation follows; before mu

	mu        sync.Mutex // guards what follows, and what balancing turns in the backends
	rotation  *rotation
	rand      *rand.Rand
	warmUntil time.Time  // until then shares grow; zero: all have grown
	scratch   []*Backend // of Pick
	turns     uint64     // marks what one Pick has found
	queue     queue
	used      int // uses of all backends that began while the pool was limited
}

// Request is what is known of who needs a backend.
type Request struct {
	// Client is who asks, for SourceHash and Maglev. All that is asked from one address goes to one backend.
	Client netip.Addr
	// Sticky is the backend that the client had before, as Sticky found it; nil: none. It is picked if it is in
	// rotation and not excluded; if it is full it is waited for.
	Sticky *Backend
}

// Lease is one use of a backend, from Pick to Done.
type Lease struct {
	backend *Backend
	pool    *Pool
	began   time.Time // for P2C only
	round   uint32    // how often the backend had been ejected
	counted bool      // in used
}

// Backend returns the picked backend.
func (l Lease) Backend() *Backend { return l.backend }

// Answered tells that the backend has begun to answer, or that the connection is open where answers are not seen. It
// may be left out.
func (l Lease) Answered() {
	if l.pool.conf().balance == P2C {
		l.pool.took(l.backend, time.Since(l.began))
	}
}

// Done ends the use; it must be called exactly once. A non-nil err counts as a failure of the backend, so
// the caller passes only what the backend is to blame for.
func (l Lease) Done(err error) {
	if err != nil {
		l.backend.failures.Add(1)
		l.pool.blame(l, err)
		if l.pool.conf().balance == P2C {
			// A backend that fails quickly must not look like one that answers quickly.
			l.pool.took(l.backend, max(l.pool.conf().connect, time.Since(l.began)))
		}
	}
	if !l.counted && !l.pool.conf().limited {
		l.backend.active.Add(-1) // nobody waits for it
		return
	}
	l.pool.freed(l)
}

// took records how long an answer took.
func (p *Pool) took(b *Backend, d time.Duration) {
	now := time.Now()
	p.mu.Lock()
	b.latency.add(d, now)
	p.mu.Unlock()
}

// Name returns the pool's name.
func (p *Pool) Name() string { return p.name }

// ConnectTimeout bounds one attempt to connect to a backend of this pool.
func (p *Pool) ConnectTimeout() time.Duration { return p.conf().connect }

// ProxyProtocol is the version of the PROXY header that connections to backends begin with.
func (p *Pool) ProxyProtocol() proxyheader.Version { return p.conf().origin }

// Backends returns the backends of now in the order of the configuration. The caller must not change the slice.
func (p *Pool) Backends() []*Backend { return p.conf().backends }

// Pick chooses a backend in rotation that is not among exclude and counts it as in use. It never blocks for longer than
// it takes to look at every backend, and allocates nothing. The error is ErrNone or ErrFull.
func (p *Pool) Pick(r Request, exclude ...*Backend) (Lease, error) {
	if p.returned() {
		p.readmit()
	}
	now := time.Time{}
	if p.conf().slowStart > 0 || p.conf().balance == P2C {
		now = time.Now()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := p.pick(r, exclude, now)
	if err != nil {
		return Lease{}, err
	}
	return p.lease(b, now), nil
}

// lease counts b as in use. The caller holds mu.
func (p *Pool) lease(b *Backend, now time.Time) Lease {
	b.active.Add(1)
	b.total.Add(1)
	counted := p.conf().limited
	if counted {
		p.used++
	}
	return Lease{backend: b, pool: p, began: now, round: b.round.Load(), counted: counted}
}

// pick chooses a backend. The caller holds mu.
func (p *Pool) pick(r Request, exclude []*Backend, now time.Time) (*Backend, error) {
	if !p.warmUntil.IsZero() {
		p.warm(now)
	}
	group := p.rotation.serving
	if len(exclude) > 0 {
		if p.left(group, exclude); len(p.scratch) == 0 {
			group = p.rotation.reserve
			p.left(group, exclude)
		}
	} else {
		p.scratch = append(p.scratch[:0], group...)
	}
	if len(p.scratch) == 0 {
		return nil, ErrNone
	}
	if p.spent() {
		return nil, ErrFull
	}
	if b := r.Sticky; b != nil && slices.Contains(p.scratch, b) {
		if b.full() {
			return nil, ErrFull
		}
		return b, nil
	}
	if p.conf().limited {
		p.scratch = slices.DeleteFunc(p.scratch, (*Backend).full)
		if len(p.scratch) == 0 {
			return nil, ErrFull
		}
	}
	return p.choose(p.scratch, r.Client, len(p.scratch) == len(p.rotation.serving), now), nil
}

// left makes scratch what is left of a group without those that are excluded.
func (p *Pool) left(group, exclude []*Backend) {
	p.scratch = p.scratch[:0]
	for _, b := range group {
		if !slices.Contains(exclude, b) {
			p.scratch = append(p.scratch, b)
		}
	}
}

// choose has the pool's way of balancing choose one of the candidates. whole says that they are all that serve.
func (p *Pool) choose(candidates []*Backend, client netip.Addr, whole bool, now time.Time) *Backend {
	switch p.conf().balance {
	case LeastConn:
		return leastConn(candidates)
	case Random:
		return random(candidates, p.rand)
	case P2C:
		return p2c(candidates, p.rand, now)
	case SourceHash, Maglev:
		return p.byClient(candidates, client, whole)
	}
	return roundRobin(candidates)
}

// byClient chooses by the client's address.
func (p *Pool) byClient(candidates []*Backend, client netip.Addr, whole bool) *Backend {
	key, r := hashAddr(p.seed, client), p.rotation
	if p.conf().bounded > 0 {
		candidates = loaded(candidates, p.conf().bounded)
		whole = whole && len(candidates) == len(r.serving)
	}
	switch {
	case p.conf().balance == SourceHash || r.table == nil || !candidates[0].serves.Load():
		return rendezvous(candidates, key)
	case whole:
		return r.table.pick(key, func(*Backend) bool { return true })
	}
	p.turns++
	for _, b := range candidates {
		b.mark = p.turns
	}
	if b := r.table.pick(key, func(b *Backend) bool { return b.mark == p.turns }); b != nil {
		return b
	}
	return rendezvous(candidates, key) // all too light for a slot
}

// setUp records what a probe found and returns the sessions that it ends.
func (p *Pool) setUp(name string, up bool, reason string) []Session {
	p.changing.Lock()
	defer p.changing.Unlock()
	for _, b := range p.conf().backends {
		if b.name != name {
			continue
		}
		if !b.placed() {
			return nil // where it was is not where it is
		}
		s := Down
		if up {
			s = Up
		}
		was := b.State()
		if !b.set(s, reason) {
			return nil
		}
		if was == Down {
			p.pardon(b)
		}
		p.turn()
		return p.ended()
	}
	return nil
}

// ended returns the sessions of the backends that are shut by now.
func (p *Pool) ended() []Session {
	var out []Session
	for _, b := range p.conf().backends {
		out = append(out, b.end()...)
	}
	return out
}
