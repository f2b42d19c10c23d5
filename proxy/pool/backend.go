package pool

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State is what is known about a backend.
type State uint8

// The states of a backend.
const (
	// Unchecked means that no probe has judged the backend yet, or that nothing probes it. It counts as available.
	Unchecked State = iota
	Up
	Down
)

// String returns the state as operators read it.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	default:
		return "unchecked"
	}
}

// MarshalText makes the state readable in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Session is something that ends when its backend goes down. Reset must not block; it may be called from
// any goroutine, at most once for each Attach, and even while Detach runs.
type Session interface{ Reset() }

// Backend is one server of a pool. Its methods may be called from any goroutine.
type Backend struct {
	name       string
	host       string      // by which its address is found, with the port; empty: the address is fixed
	configured int         // its weight; guarded by the pool's mu
	keep       atomic.Bool // sessions survive when it goes down

	active   atomic.Int64
	total    atomic.Uint64
	failures atomic.Uint64
	state    atomic.Uint32 // a State; written under the pool's mu

	most   int64  // uses at one time; zero: no bound; guarded by the pool's mu
	hash   uint64 // of the name
	cookie string

	at atomic.Pointer[netip.AddrPort] // where it is; invalid: not known, or not in use; written under the pool's changing

	serves atomic.Bool // is in rotation; written under the pool's mu

	streak atomic.Int32  // failures since something went well
	round  atomic.Uint32 // how often it was ejected; written under the pool's changing

	// What balancing turns; guarded by the pool's mu.
	weight   int       // as configured, or as ordered; written under the pool's changing and mu
	share    int       // the weight, in parts of scale, as far as the backend has warmed up
	current  int       // of the smooth weighted round-robin
	warmFrom time.Time // when it came back into rotation; zero: never, or it has warmed up
	latency  latency
	mark     uint64

	mu       sync.Mutex // guards what follows
	reason   string
	since    time.Time
	sentence sentence
	order    Order
	backup   bool
	awaited  bool // it came by a reload, and no probe has judged it yet
	closed   bool // it went by a reload, and its time is over
	sessions map[Session]struct{}
}

// Name returns the backend's name, unique within its pool.
func (b *Backend) Name() string { return b.name }

// Address returns where the backend listens. It changes only if the backend is known by name, and is invalid while it has no address.
func (b *Backend) Address() netip.AddrPort { return *b.at.Load() }

// State returns what is known about the backend now.
func (b *Backend) State() State { return State(b.state.Load()) }

// full reports whether the backend has as many uses as it may.
func (b *Backend) full() bool { return b.most > 0 && b.active.Load() >= b.most }

// Active returns how many uses the backend has now: TCP sessions, HTTP requests.
func (b *Backend) Active() int64 { return b.active.Load() }

// Attach has s reset when the backend goes down. It returns false, and does nothing, when the backend is
// down already; the caller then ends s itself.
func (b *Backend) Attach(s Session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut() && (b.closed || !b.keep.Load()) {
		return false
	}
	b.sessions[s] = struct{}{}
	return true
}

// Detach undoes Attach. Detaching twice is harmless.
func (b *Backend) Detach(s Session) {
	b.mu.Lock()
	delete(b.sessions, s)
	b.mu.Unlock()
}

// set records a state and why, and reports whether it is news.
func (b *Backend) set(s State, reason string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := b.State() != s
	if news {
		b.since = time.Now()
	}
	b.reason, b.awaited = reason, false
	b.state.Store(uint32(s))
	return news
}

// Close ends the sessions of a backend that a reload has taken out of its pool, and keeps new ones out.
func (b *Backend) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, s := range b.end() {
		s.Reset()
	}
}

// end returns the sessions of a backend that is shut, which end with it.
func (b *Backend) end() []Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.shut() || len(b.sessions) == 0 || b.keep.Load() && !b.closed {
		return nil
	}
	ended := slices.Collect(maps.Keys(b.sessions))
	clear(b.sessions)
	return ended
}
