package pool

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
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
	for _, c := range cfgs {
		p := newPool(c)
		s.pools = append(s.pools, p)
		s.byName[c.Name] = p
	}
	return s
}

func newPool(c Config) *Pool {
	p := &Pool{
		name: c.Name, balance: c.Balance, connect: c.ConnectTimeout, origin: c.ProxyProtocol, tls: c.TLS, http2: c.HTTP2, bounded: c.BoundedLoad, slowStart: c.SlowStart,
		rules: rules{panicBelow: c.Panic, keep: c.KeepAtLeast}, seed: seed(c.Secret),
		rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), scratch: make([]*Backend, 0, len(c.Backends)),
	}
	if p.balance == "" {
		p.balance = RoundRobin
	}
	if p.connect <= 0 {
		p.connect = DefaultConnectTimeout
	}
	p.ejection, p.retries = c.Ejection.withDefaults(), c.Retries.withDefaults()
	p.born, p.log = time.Now(), hclog.NewNullLogger()
	p.queue.size, p.queue.timeout = c.QueueSize, c.QueueTimeout
	p.most, p.limited = c.MaxRequests, c.MaxRequests > 0
	now := time.Now()
	for i, b := range c.Backends {
		weight := max(b.Weight, 1)
		p.backends = append(p.backends, &Backend{
			name: b.Name, address: b.Address, configured: weight, weight: weight, index: i, keep: c.OnDown == OnDownDrain,
			backup: b.Backup, most: int64(b.MaxConns), hash: hashName(p.seed, b.Name), share: weight * scale,
			since: now, sessions: make(map[Session]struct{}),
		})
		p.limited = p.limited || b.MaxConns > 0
	}
	p.sticky = newSticky(c.Cookie, c.Name, c.Secret, p.backends)
	p.turn()
	return p
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
	Available int  // backends that Pick may choose
	Forced    bool // some of them are down, but too many are for that to be believed
	Used      int  // requests and sessions now
	Most      int  // of them at one time; zero: no bound
	Waiting   int  // requests and sessions in the queue
	Backends  []BackendStatus
}

// BackendStatus describes one backend at one moment.
type BackendStatus struct {
	Name     string
	Address  netip.AddrPort
	Weight   int // as configured, or as ordered
	Backup   bool
	MaxConns int // zero: no bound
	State    State
	Reason   string    // of the last verdict
	Since    time.Time // when State began
	Order    Order     // the operator's word
	Ejected  bool      // its failures have taken it out
	Until    time.Time // until when
	Ejection string    // why; of the last time
	Ejects   uint32    // how often
	Active   int64     // uses now: TCP sessions, HTTP requests
	Total    uint64    // uses since the start
	Failures uint64    // of those, how many failed by the backend's fault
}

// Snapshot describes all pools, in the order of the configuration.
func (s *Set) Snapshot() []Status {
	out := make([]Status, 0, len(s.pools))
	for _, p := range s.pools {
		if p.returned() {
			p.readmit()
		}
		st := Status{Name: p.name, Balance: p.balance, Backends: make([]BackendStatus, 0, len(p.backends))}
		p.mu.Lock()
		for _, b := range p.backends {
			st.Backends = append(st.Backends, b.snapshot())
		}
		st.Available, st.Forced, st.Waiting = len(p.rotation.serving), p.rotation.forced, p.queue.waiting.Len()
		st.Used, st.Most = p.inHand(), p.most
		p.mu.Unlock()
		out = append(out, st)
	}
	return out
}

// snapshot describes the backend. The caller holds the pool's mu.
func (b *Backend) snapshot() BackendStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BackendStatus{
		Name: b.name, Address: b.address, Weight: b.weight,
		Backup: b.backup, MaxConns: int(b.most), State: b.State(), Reason: b.reason, Since: b.since,
		Order: b.order, Ejected: b.sentence.out, Until: b.sentence.until, Ejection: b.sentence.reason, Ejects: b.round.Load(),
		Active: b.active.Load(), Total: b.total.Load(), Failures: b.failures.Load(),
	}
}
