package pool

import "github.com/hashicorp/go-hclog"

// A backend's availability has three sources, kept apart so that none overwrites what another knows: what probes found
// (State), what the operator ordered (Admin), and what its traffic has shown (its ejection).

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

// available reports whether nothing speaks against picking the backend.
func (b *Backend) available() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fine()
}

// fine is available for who holds mu.
func (b *Backend) fine() bool { return b.State() != Down && b.admin == Ready && !b.sentence.out }

// member is what decides whether the backend is in rotation. One that an operator has taken out is never forced to serve: it
// is shown as what is never forced, a backup that is not available.
func (b *Backend) member() member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return member{backup: b.backup || b.admin != Ready, available: b.fine(), since: b.since}
}

// shut reports whether the backend takes nothing at all, and its sessions end. An ejected one keeps them: whoever still gets
// answers shall have them. The caller holds mu.
func (b *Backend) shut() bool {
	return b.admin == Maint || b.State() == Down && !b.serves.Load()
}

// SetAdmin records an operator's word and reports whether there is such a backend. What probes find is recorded all the same and
// counts again when the word is Ready. It does not block.
func (s *Set) SetAdmin(pool, backend string, word Admin) bool {
	p := s.byName[pool]
	if p == nil {
		return false
	}
	ended, ok := p.order(backend, word)
	for _, session := range ended {
		session.Reset()
	}
	return ok
}

func (p *Pool) order(name string, word Admin) (ended []Session, ok bool) {
	p.changing.Lock()
	defer p.changing.Unlock()
	for _, b := range p.backends {
		if b.name != name {
			continue
		}
		b.mu.Lock()
		news := b.admin != word
		b.admin = word
		b.mu.Unlock()
		if !news {
			return nil, true
		}
		p.turn()
		p.log.Info("backend set by the operator", "pool", p.name, "backend", b.name, "to", word)
		return p.ended(), true
	}
	return nil, false
}

// SetLogger has changes that traffic or operators make told; before, they are not. It is called before the pools are used.
func (s *Set) SetLogger(log hclog.Logger) {
	for _, p := range s.pools {
		p.log = log
	}
}
