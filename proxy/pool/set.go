package pool

import (
	"net/netip"
	"time"
)

// Set is all pools, by name. The pools and their backends never change; only their states do. All methods
// may be called from any goroutine.
type Set struct {
	pools  []*Pool
	byName map[string]*Pool
}

// NewSet returns the pools that cfgs describe, every backend unchecked. Names are taken to be unique.
func NewSet(cfgs []Config) *Set {
	s := &Set{byName: make(map[string]*Pool, len(cfgs))}
	now := time.Now()
	for _, c := range cfgs {
		p := &Pool{name: c.Name, balance: c.Balance, connect: c.ConnectTimeout}
		if p.balance == "" {
			p.balance = RoundRobin
		}
		if p.connect <= 0 {
			p.connect = DefaultConnectTimeout
		}
		for i, b := range c.Backends {
			p.backends = append(p.backends, &Backend{
				name: b.Name, address: b.Address, weight: max(b.Weight, 1), index: i, keep: c.OnDown == Keep,
				since: now, sessions: make(map[Session]struct{}),
			})
		}
		s.pools = append(s.pools, p)
		s.byName[c.Name] = p
	}
	return s
}

// Pool returns the pool of that name, nil if there is none.
func (s *Set) Pool(name string) *Pool { return s.byName[name] }

// SetUp records that a backend is up or down, and why. Going down resets the backend's sessions, unless the
// pool keeps them. An unknown name changes nothing. It does not block.
func (s *Set) SetUp(pool, backend string, up bool, reason string) {
	p := s.byName[pool]
	if p == nil {
		return
	}
	for _, session := range p.setUp(backend, up, reason) {
		session.Reset()
	}
}

// Status describes one pool at one moment.
type Status struct {
	Name      string
	Balance   Balance
	Available int // backends that Pick may choose
	Backends  []BackendStatus
}

// BackendStatus describes one backend at one moment.
type BackendStatus struct {
	Name     string
	Address  netip.AddrPort
	Weight   int
	State    State
	Reason   string    // of the last verdict
	Since    time.Time // when State began
	Active   int64     // uses now: TCP sessions, HTTP requests
	Total    uint64    // uses since the start
	Failures uint64    // of those, how many failed by the backend's fault
}

// Snapshot describes all pools, in the order of the configuration.
func (s *Set) Snapshot() []Status {
	out := make([]Status, 0, len(s.pools))
	for _, p := range s.pools {
		st := Status{Name: p.name, Balance: p.balance, Backends: make([]BackendStatus, 0, len(p.backends))}
		for _, b := range p.backends {
			bs := b.snapshot()
			if bs.State != Down {
				st.Available++
			}
			st.Backends = append(st.Backends, bs)
		}
		out = append(out, st)
	}
	return out
}

func (b *Backend) snapshot() BackendStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BackendStatus{
		Name: b.name, Address: b.address, Weight: b.weight, State: b.State(), Reason: b.reason, Since: b.since,
		Active: b.active.Load(), Total: b.total.Load(), Failures: b.failures.Load(),
	}
}
