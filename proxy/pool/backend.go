package pool

import (
	"net/netip"
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
	name    string
	address netip.AddrPort
	weight  int
	index   int
	keep    bool // sessions survive when it goes down

	active   atomic.Int64
	total    atomic.Uint64
	failures atomic.Uint64
	state    atomic.Uint32 // a State; written under the pool's mu

	current int // of the smooth weighted round-robin; guarded by the pool's mu

	mu       sync.Mutex // guards what follows
	reason   string
	since    time.Time
	sessions map[Session]struct{}
}

// Name returns the backend's name, unique within its pool.
func (b *Backend) Name() string { return b.name }

// Address returns where the backend listens.
func (b *Backend) Address() netip.AddrPort { return b.address }

// Index returns the backend's place in its pool, from zero; it never changes.
func (b *Backend) Index() int { return b.index }

// State returns what is known about the backend now.
func (b *Backend) State() State { return State(b.state.Load()) }

// Attach has s reset when the backend goes down. It returns false, and does nothing, when the backend is
// down already; the caller then ends s itself.
func (b *Backend) Attach(s Session) bool {
	if b.keep {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() == Down {
		return false
	}
	b.sessions[s] = struct{}{}
	return true
}

// Detach undoes Attach. Detaching twice is harmless.
func (b *Backend) Detach(s Session) {
	if b.keep {
		return
	}
	b.mu.Lock()
	delete(b.sessions, s)
	b.mu.Unlock()
}

// set records a state and returns the sessions that it ends.
func (b *Backend) set(s State, reason string) []Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() != s {
		b.since = time.Now()
	}
	b.reason = reason
	b.state.Store(uint32(s))
	if s != Down || len(b.sessions) == 0 {
		return nil
	}
	ended := make([]Session, 0, len(b.sessions))
	for s := range b.sessions {
		ended = append(ended, s)
	}
	clear(b.sessions)
	return ended
}
