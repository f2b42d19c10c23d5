package pool

import (
	"time"

	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// settings is what a reload can change of a pool. It does not change; a new one takes its place.
type settings struct {
	config       Config // as it was given
	balance      Balance
	connect      time.Duration
	origin       proxyheader.Version
	http2        bool
	tls          *TLS
	bounded      int
	slowStart    time.Duration
	rules        rules
	limited      bool // the pool, or some backend, has a bound of uses
	most         int  // uses of all backends at one time; zero: no bound
	sticky       sticky
	backends     []*Backend
	ejection     Ejection
	retries      Retries
	queueSize    int
	queueTimeout time.Duration
}

func (p *Pool) conf() *settings { return p.settings.Load() }

// apply puts the settings of c in place. Backends with the name and the address of one that is there are those, with all that is known
// of them. One that has only the name of another inherits what an operator ordered, and the counts. The caller holds changing,
// and calls turn.
func (p *Pool) apply(c Config) {
	s := &settings{
		config: c, balance: c.Balance, connect: c.ConnectTimeout, origin: c.ProxyProtocol, http2: c.HTTP2, tls: c.TLS,
		bounded: c.BoundedLoad, slowStart: c.SlowStart, rules: rules{panicBelow: c.Panic, keep: c.KeepAtLeast},
		most: c.MaxRequests, limited: c.MaxRequests > 0, ejection: c.Ejection.withDefaults(), retries: c.Retries.withDefaults(),
		queueSize: c.QueueSize, queueTimeout: c.QueueTimeout,
	}
	if s.balance == "" {
		s.balance = RoundRobin
	}
	if s.connect <= 0 {
		s.connect = DefaultConnectTimeout
	}
	old := map[string]*Backend{}
	proven := false // somebody is there to take the traffic until a newcomer has been judged
	if before := p.conf(); before != nil {
		for _, b := range before.backends {
			old[b.name] = b
		}
		for _, bc := range c.Backends {
			b := old[bc.Name]
			proven = proven || b != nil && b.isAt(bc) && b.available()
		}
	}
	value := cookies(c.Name, c.Secret)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, bc := range c.Backends {
		b := old[bc.Name]
		if b == nil || !b.isAt(bc) {
			b = newBackend(bc, b)
			b.hash, b.cookie = hashName(p.seed, b.name), value(b.name)
			b.awaited = proven && !c.Unprobed
		}
		b.mu.Lock()
		b.backup, b.configured, b.most = bc.Backup, max(bc.Weight, 1), int64(bc.MaxConns)
		b.keep.Store(c.OnDown == OnDownDrain)
		weight, share := b.weight, b.share
		if b.weigh(); b.weight == weight {
			b.share = share // it may be warming up
		}
		if c.Unprobed && b.State() != Unchecked && b.placed() {
			b.state.Store(uint32(Unchecked))
			b.reason, b.since = "", time.Now()
		}
		b.awaited = b.awaited && !c.Unprobed
		b.mu.Unlock()
		s.backends = append(s.backends, b)
		s.limited = s.limited || bc.MaxConns > 0
		delete(old, bc.Name)
	}
	s.sticky = newSticky(c.Cookie, s.backends)
	for _, b := range old {
		b.serves.Store(false)
	}
	p.settings.Store(s)
}

// newBackend returns a backend that takes the place of one of the same name; nil: there was none.
func newBackend(c BackendConfig, before *Backend) *Backend {
	b := &Backend{name: c.Name, since: time.Now(), sessions: make(map[Session]struct{})}
	b.place(c)
	if before != nil {
		before.mu.Lock()
		b.order = before.order
		before.mu.Unlock()
		b.total.Store(before.total.Load())
		b.failures.Store(before.failures.Load())
	}
	return b
}
