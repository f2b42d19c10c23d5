package pool

import (
	"time"

	"github.com/hashicorp/go-hclog"
)

// A backend's availability has three sources, kept apart so that none overwrites what another knows: what probes found
// (State), what the operator ordered (Order), and what its traffic has shown (its ejection).

// Admin is an operator's word about a backend.
type Admin uint8

// What an operator can say.
const (
	Ready Admin = iota // probes and traffic decide
	Drain              // nothing new; what is there goes on
	Maint              // nothing new; what is there ends as when it is down
)

// String returns the word as operators write it.
func (a Admin) String() string {
	switch a {
	case Drain:
		return "drain"
	case Maint:
		return "maint"
	default:
		return "ready"
	}
}

// MarshalText makes the word readable in JSON.
func (a Admin) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Order is what an operator has set by hand for one backend; the zero value: nothing.
type Order struct {
	Admin  Admin
	Weight int       // 1..256; zero: as configured
	Reason string    // why, in the operator's words; may be empty
	Since  time.Time // when it was said; zero: when SetAdmin was first called with it
}

// same reports whether o changes nothing of what was ordered before.
func (o Order) same(before Order) bool {
	return o.Admin == before.Admin && o.Weight == before.Weight && o.Reason == before.Reason &&
		(o.Since.IsZero() || o.Since.Equal(before.Since))
}

// available reports whether nothing speaks against picking the backend.
func (b *Backend) available() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fine()
}

// fine is available for who holds mu.
func (b *Backend) fine() bool {
	return b.State() != Down && b.placed() && b.order.Admin == Ready && !b.sentence.out && !b.awaited
}

// member is what decides whether the backend is in rotation. One that an operator has taken out is never forced to serve: it
// is shown as what is never forced, a backup that is not available; so is one that has no address.
func (b *Backend) member() member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return member{backup: b.backup || b.order.Admin != Ready || !b.placed(), available: b.fine(), since: b.since}
}

// shut reports whether the backend takes nothing at all, and its sessions end. An ejected one keeps them: whoever still gets
// answers shall have them. The caller holds mu.
func (b *Backend) shut() bool {
	return b.closed || b.order.Admin == Maint || b.State() == Down && !b.serves.Load()
}

// SetAdmin puts an operator's order in the place of the one before, and reports whether there is such a backend. What probes
// find is recorded all the same and counts again when the word is Ready. Saying the same twice is harmless. It does not block.
func (s *Set) SetAdmin(pool, backend string, o Order) bool {
	p := s.Pool(pool)
	if p == nil {
		return false
	}
	ended, ok := p.order(backend, o)
	for _, session := range ended {
		session.Reset()
	}
	return ok
}

func (p *Pool) order(name string, o Order) (ended []Session, ok bool) {
	p.changing.Lock()
	defer p.changing.Unlock()
	for _, b := range p.conf().backends {
		if b.name != name {
			continue
		}
		if p.obey(b, o) {
			p.turn()
			p.log.Info("backend set by the operator", "pool", p.name, "backend", b.name, "to", o.Admin, "weight", b.weight, "reason", o.Reason)
		}
		return p.ended(), true
	}
	return nil, false
}

// obey notes the order and reports whether it is news. The caller holds changing.
func (p *Pool) obey(b *Backend, o Order) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.same(b.order) {
		return false
	}
	if o.Since.IsZero() {
		o.Since = time.Now()
	}
	b.order = o
	b.weigh()
	return true
}

// weigh sets the weight as ordered, or as configured. The caller holds the pool's mu, and b's.
func (b *Backend) weigh() {
	b.weight = min(b.order.Weight, mostWeight)
	if b.weight <= 0 {
		b.weight = b.configured
	}
	b.share = b.weight * scale // one that warms up gets less at the next pick
}

// mostWeight bounds what balancing computes with.
const mostWeight = 256

// SetLogger has changes that traffic or operators make told; before, they are not. It is called before the pools are used.
func (s *Set) SetLogger(log hclog.Logger) {
	s.log = log
	for _, p := range s.now.Load().pools {
		p.log = log
	}
}
