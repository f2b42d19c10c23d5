package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// running is what Run has started.
type running struct {
	accepting   context.Context
	tidying     context.Context // goes on while sessions drain
	stopTidying context.CancelFunc
	accept      sync.WaitGroup
	rest        sync.WaitGroup
}

// begin opens the listeners and starts all goroutines.
func (p *Proxy) begin(ctx, accepting context.Context) *running {
	p.life.Lock()
	defer p.life.Unlock()
	r := &running{accepting: accepting}
	r.tidying, r.stopTidying = context.WithCancel(context.WithoutCancel(ctx))
	front := p.listeners()
	sockets, errs := p.openThese(accepting, configsOf(front)...)
	for i, l := range front {
		r.open(l.door, sockets[i], errs[i]) //nolint:contextcheck // it has it from r
	}
	r.rest.Go(func() { p.tidy(r.tidying) })
	r.rest.Go(func() { p.watchFiles(r.tidying) })
	p.keepLog(r, p.access.Load()) //nolint:contextcheck // it has it from r
	p.running = r
	return r
}

// endReloads has no reload begin or start anything from now on.
func (p *Proxy) endReloads() {
	p.life.Lock()
	defer p.life.Unlock()
	p.running = nil
}

func (r *running) open(d *door, s io.Closer, err error) {
	ctx, shut := context.WithCancel(r.accepting)
	d.mu.Lock()
	d.shut = shut
	d.mu.Unlock()
	r.accept.Go(func() {
		defer shut()
		d.run(ctx, s, err)
	})
}

// keepLog has an access log written. The caller holds life.
func (p *Proxy) keepLog(r *running, a *accesslog.Log) {
	p.stopLog = nil
	if a == nil {
		return
	}
	ctx, stop := context.WithCancel(r.tidying)
	p.stopLog = stop
	r.rest.Go(func() { _ = a.Run(ctx) }) // it has no error to tell
}

func configsOf(ls []*listener) []ListenerConfig {
	cfgs := make([]ListenerConfig, len(ls))
	for i, l := range ls {
		cfgs[i] = l.cfg
	}
	return cfgs
}

// patience is how long clients may go on.
func (p *Proxy) patience() time.Duration { return time.Duration(max(p.drain.Load(), 0)) }

// allDoors are all that clients have come in by, those of listeners that have gone too.
func (p *Proxy) allDoors() []*door {
	ds := p.partings.doors()
	for _, l := range p.listeners() {
		ds = append(ds, l.door)
	}
	return ds
}

// errNotNow is why nothing can be changed now.
var errNotNow = errors.New("the forwarding is starting or stopping; try again in a moment")

// PoolsAfter are the pools as they will be.
type PoolsAfter interface {
	Pools
	Config(name string) pool.Config
}

// Change is a configuration that is ready to be put in place: its files are read, its sockets are open. Either Commit or Abort is to be called, once.
type Change struct {
	proxy   *Proxy
	cfg     Config
	front   []*listener
	taken   map[*listener]*door // that listener comes behind that door
	fresh   []*listener         // these have doors of their own,
	sockets []io.Closer         // of which these are the sockets
	outward map[string]*outward
}

// Prepare makes ready what cfg says, with the pools that there will be then, and touches nothing that clients use. Key, Listen and Dial cannot change. The error names all that
// is in the way. A listener that stays at its address keeps its socket, whatever its name; one that keeps its name keeps its counts.
func (p *Proxy) Prepare(ctx context.Context, cfg Config, pools PoolsAfter) (*Change, error) {
	p.life.Lock()
	defer p.life.Unlock()
	if p.running == nil {
		return nil, errNotNow
	}
	front, err := p.newFront(cfg.Listeners, pools)
	if err != nil {
		return nil, err
	}
	c := &Change{proxy: p, cfg: cfg, taken: map[*listener]*door{}, outward: map[string]*outward{}}
	var errs []error
	for _, l := range front {
		l, err := c.listener(l)
		errs = append(errs, err)
		c.front = append(c.front, l)
		for _, b := range l.pools() {
			errs = append(errs, c.secure(pools.Config(b.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var errSockets []error
	if len(c.fresh) > 0 {
		c.sockets, errSockets = p.openThese(ctx, configsOf(c.fresh)...)
	}
	for i, err := range errSockets {
		if err != nil {
			l := c.fresh[i]
			holder := ""
			if h := portHolder(l.cfg.Protocol, l.cfg.Bind); h != "" {
				holder = ": " + h + " has it; an address that this node has open otherwise is to be given up by one reload and taken by another"
			}
			errs = append(errs, fmt.Errorf("listener %s: %w%s", l.cfg.Name, err, holder))
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.Abort()
		return nil, err
	}
	for _, l := range c.fresh {
		newDoor(l)
	}
	return c, nil
}

// listener finds out what a listener inherits; it returns the present one where nothing is new.
func (c *Change) listener(l *listener) (*listener, error) {
	now := c.proxy.listeners()
	var was *listener
	if i := slices.IndexFunc(now, func(o *listener) bool { return o.cfg.Name == l.cfg.Name }); i >= 0 {
		was = now[i]
	}
	if was != nil && reflect.DeepEqual(was.cfg, l.cfg) && slices.Equal(was.pools(), l.pools()) && !l.cfg.readsFiles() {
		return was, nil
	}
	if was != nil {
		l.tally = was.tally
		if was.cfg.MaxConnsPerClient == l.cfg.MaxConnsPerClient && was.cfg.RateLimit == l.cfg.RateLimit && was.cfg.RateBurst == l.cfg.RateBurst {
			l.clients = was.clients
		}
	}
	i := slices.IndexFunc(now, func(o *listener) bool {
		return o.cfg.Bind == l.cfg.Bind && (o.cfg.Protocol == UDP) == (l.cfg.Protocol == UDP)
	})
	if i >= 0 {
		c.taken[l] = now[i].door
	} else {
		c.fresh = append(c.fresh, l)
	}
	l.furnish()
	switch {
	case l.tls == nil:
	case was != nil && was.cfg.Protocol == l.cfg.Protocol && reflect.DeepEqual(was.cfg.TLS, l.cfg.TLS):
		l.tls = was.tls
	default:
		for _, f := range l.cfg.TLS.Certificates {
			if _, err := certs.Load(f, time.Now()); err != nil {
				return l, fmt.Errorf("listener %s: %w", l.cfg.Name, err)
			}
		}
		if err := l.tls.load(time.Now()); err != nil {
			return l, fmt.Errorf("listener %s: %w", l.cfg.Name, err)
		}
	}
	return l, nil
}

// readsFiles reports whether answers are made of files, which may have changed.
func (l *ListenerConfig) readsFiles() bool {
	for _, r := range l.Routes {
		if r.Respond != nil && r.Respond.File != "" {
			return true
		}
	}
	return len(l.ErrorPages) > 0
}

// secure reads the files for the TLS towards a pool.
func (c *Change) secure(backends pool.Config) error {
	if backends.TLS == nil || c.outward[backends.Name] != nil {
		return nil
	}
	c.proxy.reaching.Lock()
	o := c.proxy.outward[backends.Name]
	c.proxy.reaching.Unlock()
	if o == nil || !o.is(backends.TLS, protocolOf(backends.HTTP2)) {
		o = newOutward(*backends.TLS, protocolOf(backends.HTTP2), c.proxy.log.With("pool", backends.Name))
		o.once.Do(func() { o.begin(time.Now()) })
		if err := o.err.Load(); err != nil {
			return fmt.Errorf("pool %s: %w", backends.Name, *err)
		}
	}
	c.outward[backends.Name] = o
	return nil
}

// Abort gives up what was prepared.
func (c *Change) Abort() {
	for _, s := range c.sockets {
		if s != nil {
			_ = s.Close()
		}
	}
}

// Commit puts the change in place; the pools' comes before. Requests and sessions in hand go on as they have begun. Those of listeners and backends that have gone may finish, as
// in a drain, and kept connections of such a listener are closed after their answer.
func (c *Change) Commit() {
	p := c.proxy
	p.life.Lock()
	defer p.life.Unlock()
	r := p.running
	if r == nil { // the node has begun to stop
		c.Abort()
		return
	}
	p.setDrain(c.cfg.Drain)
	p.reaching.Lock()
	p.outward = c.outward
	p.reaching.Unlock()
	p.changeLog(r, c.cfg.AccessLog)
	before := p.listeners()
	for l, d := range c.taken {
		d.enter(l)
	}
	for _, l := range before {
		stays := func(n *listener) bool { return n.door == l.door }
		if !slices.ContainsFunc(c.front, stays) {
			p.partings.leave(l.door, p.patience())
		}
	}
	p.front.Store(&c.front)
	for i, l := range c.fresh {
		r.open(l.door, c.sockets[i], nil)
	}
	p.renew(c.front)
	p.settled = c.cfg
	p.poke()
}

// changeLog has requests told elsewhere from now on. The caller holds life.
func (p *Proxy) changeLog(r *running, cfg accesslog.Config) {
	if cfg == p.settled.AccessLog {
		return
	}
	if p.stopLog != nil {
		p.partings.log(p.stopLog, p.patience())
	}
	var a *accesslog.Log
	if cfg.File != "" {
		a = accesslog.New(cfg, p.log)
	}
	p.access.Store(a)
	p.keepLog(r, a)
}
