package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/limit"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// Proxy is all listeners with the sessions of their clients.
type Proxy struct {
	drain     atomic.Int64                                                // how long sessions may go on
	key       []byte                                                      // the cluster's
	listen    func(context.Context, netip.AddrPort) (net.Listener, error) // nil: TCP sockets
	log       hclog.Logger
	dialTo    func(context.Context, netip.AddrPort) (net.Conn, error) // nil: TCP
	front     atomic.Pointer[[]*listener]
	upstreams atomic.Pointer[map[*pool.Backend]*upstream]
	buffers   buffers
	works     sync.Pool                     // of *work
	access    atomic.Pointer[accesslog.Log] // nil without one
	budget    *limit.Budget                 // of descriptors
	partings  partings

	reaching sync.Mutex                   // held while upstreams are changed; guards what follows
	outward  map[string]*outward          // by pool
	backends map[*pool.Backend]*pool.Pool // that listeners forward to
	life     sync.Mutex                   // held while a reload is committed; guards running and accessing
	running  *running                     // nil before Run, and when it ends
	settled  Config                       // as of the newest reload; guarded by life
	stopLog  context.CancelFunc           // of access; guarded by life

	active   atomic.Int64
	accepted atomic.Uint64
	draining atomic.Bool
	closing  atomic.Bool
	changed  chan struct{}
	opening  sync.Mutex // held while sockets are opened, which is done by one at a time
	looking  sync.Mutex // held while files are looked at

	stop     chan struct{} // closed by Shutdown: drain
	cut      chan struct{} // closed by Shutdown: its patience has ended
	done     chan struct{} // closed when Run returns
	stopOnce sync.Once
	cutOnce  sync.Once
	dialing  context.Context // ends when sessions are cut
	hangUp   context.CancelFunc
}

// New returns a proxy for the listeners of cfg, which opens none of them yet. The error names every
// listener that cannot be served.
func New(cfg Config, pools Pools, log hclog.Logger) (*Proxy, error) {
	p := &Proxy{
		key: cfg.Key, listen: cfg.Listen, dialTo: cfg.Dial, log: log, budget: descriptors(), outward: make(map[string]*outward),
		changed: make(chan struct{}, 1),
		stop:    make(chan struct{}), cut: make(chan struct{}), done: make(chan struct{}), settled: cfg,
	}
	p.setDrain(cfg.Drain)
	if cfg.AccessLog.File != "" {
		p.access.Store(accesslog.New(cfg.AccessLog, log))
	}
	p.works.New = func() any { return newWork() }
	p.dialing, p.hangUp = context.WithCancel(context.Background())
	p.upstreams.Store(&map[*pool.Backend]*upstream{})
	front, err := p.newFront(cfg.Listeners, pools)
	for _, l := range front {
		newDoor(l)
		l.furnish()
		for _, backends := range l.pools() {
			for _, b := range backends.Backends() {
				p.upstream(backends, b)
			}
		}
	}
	p.backends = backendsOf(front)
	p.front.Store(&front)
	return p, err
}

func (p *Proxy) setDrain(d time.Duration) {
	if d == 0 {
		d = defaultDrain
	}
	p.drain.Store(int64(d))
}

// newFront makes listeners of what is configured. The error names every one that cannot be served.
func (p *Proxy) newFront(cfgs []ListenerConfig, pools Pools) ([]*listener, error) {
	var front []*listener
	var errs []error
	names := make(map[string]bool)
	for _, lc := range cfgs {
		lc = lc.withDefaults()
		table, ways, err := newWays(&lc, pools)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("listener %s: %w", lc.Name, err))
			continue
		case lc.Protocol != TCP && lc.Protocol != HTTP && lc.Protocol != UDP:
			errs = append(errs, fmt.Errorf("listener %s: protocol %q is not tcp, http or udp", lc.Name, lc.Protocol))
			continue
		case names[lc.Name]:
			errs = append(errs, fmt.Errorf("listener %s: the name is used twice", lc.Name))
			continue
		}
		names[lc.Name] = true
		l := newListener(p, lc, table, ways)
		front = append(front, l)
		errs = append(errs, l.nameServers(pools))
	}
	return front, errors.Join(errs...)
}

// listeners are those of now.
func (p *Proxy) listeners() []*listener { return *p.front.Load() }

// Run opens the listeners and serves their clients until ctx is done or Shutdown is called; then it stops
// accepting, lets sessions go on for as long as the drain allows, cuts the rest, and returns nil when all have
// ended. A listener that cannot open is tried again every second. Run may be called once.
func (p *Proxy) Run(ctx context.Context) error {
	defer close(p.done)
	defer p.hangUp()
	accepting, stopAccepting := context.WithCancel(ctx)
	defer stopAccepting()

	r := p.begin(ctx, accepting)
	defer r.rest.Wait()
	defer r.stopTidying()
	select {
	case <-ctx.Done():
	case <-p.stop:
	}
	p.draining.Store(true)
	p.endReloads()
	stopAccepting()
	r.accept.Wait()
	p.drainSessions(ctx)
	return nil
}

func (p *Proxy) openThese(ctx context.Context, cfgs ...ListenerConfig) ([]io.Closer, []error) {
	if p.listen == nil {
		p.opening.Lock()
		defer p.opening.Unlock()
		return openAll(ctx, cfgs...)
	}
	opened, errs := make([]io.Closer, len(cfgs)), make([]error, len(cfgs))
	for i, cfg := range cfgs {
		if cfg.Protocol == UDP {
			errs[i] = errNoDatagrams
			continue
		}
		opened[i], errs[i] = p.listen(ctx, cfg.Bind)
	}
	return opened, errs
}

// drainSessions waits for the sessions to end and cuts those that do not.
func (p *Proxy) drainSessions(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		for _, d := range p.allDoors() {
			d.sessions.drain()
		}
		for _, d := range p.allDoors() {
			d.sessions.wait()
		}
		close(ended)
	}()
	told, cut := ctx.Done(), p.cut
	var limit <-chan time.Time
	for {
		select {
		case <-ended:
			return
		case <-told:
			told = nil
			timer := time.NewTimer(p.patience())
			defer timer.Stop()
			limit = timer.C
		case <-limit:
			limit = nil
			p.cutSessions()
		case <-cut:
			cut = nil
			p.cutSessions()
		}
	}
}

// cutSessions ends every session at once; clients and backends see a reset.
func (p *Proxy) cutSessions() {
	p.hangUp()
	n := 0
	for _, d := range p.allDoors() {
		n += d.sessions.cut()
	}
	if n > 0 {
		p.log.Warn("sessions cut, for the drain took too long", "sessions", n)
	}
}

// Shutdown ends Run: no new connections, sessions go on until ctx is done, then they are cut. It returns when
// Run has, with ctx's error when sessions had to be cut. It may be called from any goroutine, more than once.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.stopOnce.Do(func() { close(p.stop) })
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.cutOnce.Do(func() { close(p.cut) })
		<-p.done
		return ctx.Err()
	}
}

// SetClosing says whether answers to http clients ask them to close their connection, which they then open
// anew: towards another node, if the VIP has moved meanwhile. Clients are still accepted and served.
func (p *Proxy) SetClosing(on bool) { p.closing.Store(on) }

// Active counts what clients wait for now, on all listeners: TCP sessions, HTTP requests, and connections that have
// not had their first answer. Kept-alive HTTP connections between requests do not count. It is cheap.
func (p *Proxy) Active() int { return int(p.active.Load()) }

// Accepted counts the connections accepted since the start, on all listeners. It is cheap.
func (p *Proxy) Accepted() uint64 { return p.accepted.Load() }

// Changed is poked when a listener opens, or fails to. One poke may stand for several changes.
func (p *Proxy) Changed() <-chan struct{} { return p.changed }

// poke wakes the reader of Changed; a wake-up already pending is enough.
func (p *Proxy) poke() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Snapshot describes every listener, in the order of the configuration.
func (p *Proxy) Snapshot() []ListenerStatus {
	front := p.listeners()
	out := make([]ListenerStatus, 0, len(front))
	for _, l := range front {
		out = append(out, l.snapshot())
	}
	return out
}
