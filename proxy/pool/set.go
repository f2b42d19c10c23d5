package pool

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Set is all pools, by name. Prepare changes them; a pool that stays, and a backend that stays in it, stay the same. All methods
// may be called from any goroutine.
type Set struct {
	log       hclog.Logger
	now       atomic.Pointer[pools]
	reloading sync.Mutex // held from the beginning to the end of a commit
}

type pools struct {
	pools  []*Pool
	byName map[string]*Pool
}

// NewSet returns the pools that cfgs describe, every backend unchecked. Names are taken to be unique.
func NewSet(cfgs []Config) *Set {
	s := &Set{log: hclog.NewNullLogger()}
	now := &pools{byName: make(map[string]*Pool, len(cfgs))}
	for _, c := range cfgs {
		now.add(newPool(c, s.log))
	}
	s.now.Store(now)
	return s
}

func (ps *pools) add(p *Pool) {
	ps.pools = append(ps.pools, p)
	ps.byName[p.name] = p
}

func newPool(c Config, log hclog.Logger) *Pool {
	p := &Pool{
		name: c.Name, seed: seed(c.Secret), born: time.Now(), log: log,
		rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), scratch: make([]*Backend, 0, len(c.Backends)),
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	p.apply(c)
	p.turn()
	return p
}

// Pool returns the pool of that name, nil if there is none.
func (s *Set) Pool(name string) *Pool { return s.now.Load().byName[name] }

// SetUp records that a backend is up or down, and why. Going down resets the backend's sessions, unless the
// pool keeps them. An unknown name changes nothing. It does not block.
func (s *Set) SetUp(pool, backend string, up bool, reason string) {
	p := s.Pool(pool)
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
	Address  netip.AddrPort // invalid: see Host
	Host     string         // by which the address is found, with a port; empty: it is fixed
	Unused   bool           // its name has no address for it, which is no fault
	Weight   int            // as configured, or as ordered
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
	all := s.now.Load().pools
	out := make([]Status, 0, len(all))
	for _, p := range all {
		if p.returned() {
			p.readmit()
		}
		st := Status{Name: p.name, Backends: make([]BackendStatus, 0, len(p.conf().backends))}
		p.mu.Lock()
		st.Balance = p.conf().balance
		for _, b := range p.conf().backends {
			st.Backends = append(st.Backends, b.snapshot())
		}
		st.Available, st.Forced, st.Waiting = len(p.rotation.serving), p.rotation.forced, p.queue.waiting.Len()
		st.Used, st.Most = p.inHand(), p.conf().most
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
		Name: b.name, Address: b.Address(), Host: b.host, Unused: b.unused(), Weight: b.weight,
		Backup: b.backup, MaxConns: int(b.most), State: b.State(), Reason: b.reason, Since: b.since,
		Order: b.order, Ejected: b.sentence.out, Until: b.sentence.until, Ejection: b.sentence.reason, Ejects: b.round.Load(),
		Active: b.active.Load(), Total: b.total.Load(), Failures: b.failures.Load(),
	}
}
