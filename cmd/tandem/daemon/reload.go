package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/notify"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/systemd"
)

// reloader puts another configuration in the place of the running one: whole, or not at all. No part that keeps the node alive waits for it: the election's loop takes
// what concerns it in one of its turns, and beats and leases know nothing of it. A witness has no pools, checker, proxy and notifier.
type reloader struct {
	read    func(running *configs.Config) (*configs.Config, []configs.Warning, error) // nil: nothing can be read again
	now     atomic.Pointer[configs.Config]
	hash    atomic.Uint64 // of now
	key     []byte
	node    *cluster.Node
	pools   *pool.Set
	checker *health.Checker
	proxy   *proxy.Proxy
	notify  *notify.Notifier
	fit     *fitJudge
	vip     *vipPart
	byHand  func() // puts what is set by hand in force on backends that are new
	names   func(*configs.Config)
	log     hclog.Logger

	one    sync.Mutex // held while one is under way; guards what follows
	warned []configs.Warning
}

var errNoFile = errors.New("this daemon has no file to read again")

// reload reads, prepares and puts in place. by says who asked.
func (r *reloader) reload(ctx context.Context, by string) (api.Reloaded, error) {
	if r.read == nil {
		return api.Reloaded{}, errNoFile
	}
	r.one.Lock()
	defer r.one.Unlock()
	began := time.Now()
	systemd.Reloading(r.log)
	defer systemd.Ready(r.log)
	out, err := r.change(ctx)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.log.Error("reload refused, nothing is changed", "by", by, "err", line)
		}
		return api.Reloaded{}, err
	}
	for _, w := range out.Warnings {
		r.log.Warn("configuration", "problem", w)
	}
	for _, c := range out.Changes {
		r.log.Info("reload", "change", c)
	}
	out.TookMS = ms(time.Since(began))
	r.log.Info("reloaded", "by", by, "changes", len(out.Changes), "took", time.Since(began).Round(100*time.Microsecond))
	return out, nil
}

func (r *reloader) change(ctx context.Context) (api.Reloaded, error) {
	out := api.Reloaded{Changes: []string{}, Warnings: []string{}}
	running := r.now.Load()
	next, warnings, err := r.read(running)
	if err != nil {
		return out, err
	}
	commit, err := r.prepare(ctx, next)
	if err != nil {
		return out, err
	}
	commit()
	r.keep(next)
	if r.log.GetLevel() != hclog.LevelFromString(next.Log.Level) {
		r.log.SetLevel(hclog.LevelFromString(next.Log.Level))
	}
	for _, w := range warnings {
		if !slices.ContainsFunc(r.warned, func(o configs.Warning) bool { return o.Key == w.Key && o.Text == w.Text }) {
			out.Warnings = append(out.Warnings, w.String())
		}
	}
	r.warned = warnings
	for _, c := range configs.Diff(running, next) {
		out.Changes = append(out.Changes, c.String())
	}
	return out, r.tune(ctx, next)
}

// keep notes what is in place.
func (r *reloader) keep(cfg *configs.Config) {
	r.now.Store(cfg)
	r.hash.Store(configs.Hash(cfg))
}

// prepare has every part make ready what concerns it, and returns what puts all of it in place.
func (r *reloader) prepare(ctx context.Context, next *configs.Config) (commit func(), err error) {
	if r.proxy == nil {
		return func() {}, nil
	}
	pools, err := r.pools.Prepare(poolConfigs(next, r.key))
	if err != nil {
		return nil, err
	}
	probe, err := r.checker.Prepare(targets(next)) //nolint:contextcheck // probes live as long as the checker
	if err != nil {
		return nil, err
	}
	front, err := r.proxy.Prepare(ctx, proxyConfig(next, r.key), pools)
	if err != nil {
		return nil, err
	}
	return func() { //nolint:contextcheck // what it starts lives as long as the forwarding
		pools.Commit()
		r.byHand()
		front.Commit()
		r.names(next)
		probe()
		r.notify.SetHooks(next.Notify)
		r.vip.listener.Store(vipListener(next))
		poke(r.fit.probed)
	}, nil
}

// tune tells the election's loop, which tells the other nodes.
func (r *reloader) tune(ctx context.Context, next *configs.Config) error {
	c := next.Cluster
	p := cluster.Preference{Priority: c.Priority, Preempt: c.Preempt, PreemptDelay: c.PreemptDelay}
	if r.proxy != nil {
		p.ConfigHash = r.hash.Load()
	}
	if err := r.node.Tune(ctx, p); err != nil {
		return fmt.Errorf("all is changed but what the election prefers: %w", err)
	}
	return nil
}

// follow reloads whenever asked to, until ctx ends.
func (r *reloader) follow(again <-chan os.Signal) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-again:
				_, _ = r.reload(ctx, "SIGHUP") // it is told in the log
			}
		}
	}
}

// Reload is one of an operator's orders.
func (o orders) Reload(ctx context.Context, by string) (api.Reloaded, error) {
	return o.reloader.reload(ctx, by)
}

func proxyConfig(cfg *configs.Config, key []byte) proxy.Config {
	return proxy.Config{Listeners: cfg.Listeners, Key: key, Drain: cfg.Drain, AccessLog: cfg.AccessLog}
}

// address is an address that changes.
type address struct {
	p atomic.Pointer[netip.AddrPort]
}

func (a *address) Store(ap netip.AddrPort) { a.p.Store(&ap) }

func (a *address) Load() netip.AddrPort {
	if p := a.p.Load(); p != nil {
		return *p
	}
	return netip.AddrPort{}
}
