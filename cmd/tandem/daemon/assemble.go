package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
	"github.com/tandem-lb/tandem/vip"
)

// protocol is the version of what nodes say to each other by beat and stream.
const protocol = 1

// beats is how many fit into the silence budget. Twelve made no false alarm in a thousand hours where a fifth of all packets was lost; each more costs an idle node
// 0.15 % of a core.
const beats = 14

// handoverTime is how long an ordered handover may take. Both nodes answer IP during nearly all of it, so it costs nothing to wait.
const handoverTime = 200 * time.Millisecond

// assemble makes the parts and wires them; nothing runs yet.
func assemble(w World, cfg *configs.Config, version Version, log hclog.Logger) (*daemon, error) {
	c, err := newCommon(w, cfg, version, configs.Hash(cfg), log)
	if err != nil {
		return nil, err
	}
	keeper, err := newKeeper(w, cfg, log)
	if err != nil {
		return nil, err
	}
	pools := pool.NewSet(poolConfigs(cfg, c.key))
	pools.SetLogger(log.Named("pool"))
	front := proxyConfig(cfg, c.key)
	front.Listen, front.Dial = w.Listen, w.Dial
	prx, err := proxy.New(front, pools, log.Named("proxy"))
	if err != nil {
		return nil, err
	}
	c.byHand.Start(inForce(pools))
	fit := newFitness(cfg, keeper, prx, log.Named("track"))
	checker := health.NewOn(w.Dial, targets(cfg), fit.follow(pools.SetUp), log.Named("health"))
	checker.Locate(pools.Where)
	names := newResolver(w, cfg, pools, log.Named("resolve"))
	fit.checker = checker

	var node *cluster.Node
	var pls *pulse.Pulse
	mir := newMirror(w, cfg, keeper, &pls, log.Named("mirror"))
	bounce, runMirror := func([]byte, uint16) {}, idle
	if mir != nil {
		bounce, runMirror = mir.Bounce, mir.Run
	}
	votes := votesConfig(cfg)
	if votes != nil {
		if err := byVotes(votes, keeper, func(now time.Time) bool { return node.Alive(now) }); err != nil {
			return nil, err
		}
	}
	beats := c.pulse(w, cfg, votes)
	beats.Mirror = bounce
	beats.Tick = func(now time.Time) bool { return node.Alive(now) && keeper.Renew(now) }
	if pls, err = pulse.New(beats, log.Named("pulse")); err != nil {
		return nil, err
	}
	ntf := newNotifier(w, cfg, c.boot, log.Named("notify"))
	opts := c.options(w, cfg, pls, log)
	vips := &vipPart{Keeper: keeper}
	vips.listener.Store(vipListener(cfg))
	opts.VIP, opts.VIPs, opts.Traffic = vips, prefixes(cfg.VIP.Addresses), traffic{prx}
	opts.Fitness, opts.FitnessChanged, opts.Maintenance = fit.judge, fit.changed, c.kept.Maintenance
	opts.Tell = func(s cluster.Status) { ntf.Observe(became(s)) }
	if votes != nil {
		opts.Votes, opts.Set = pls, votes.Set.Hash
	}
	node = cluster.New(opts)
	rel := &reloader{
		byHand: c.byHand.Again,
		read:   w.Read, warned: w.Warned, key: c.key, node: node, pools: pools, checker: checker, proxy: prx, notify: ntf, fit: fit, vip: vips, log: log,
		names: func(next *configs.Config) { names.Set(resolverConfig(w, next), backendNames(next)) },
	}
	rel.keep(cfg)
	rep := &reporter{
		cfg: cfg, now: &rel.now, hash: &rel.hash, version: version, boot: c.boot, started: time.Now(),
		node: node, keeper: keeper, proxy: prx, pools: pools, checker: checker, gossip: c.gossip, pulse: pls, mirror: mir, fit: fit,
	}
	adm := admin.New(cfg.Admin.Socket, rep.status, log.Named("admin"))
	adm.Follow(orders{node, rel})
	adm.SetsBackends((&setter{board: c.byHand, streams: c.streams, pools: pools, log: log.Named("admin")}).set)
	adm.Explains((&explainer{node: node, policy: func() election.Policy { return policy(rel.now.Load()) }, book: c.journal}).explain)

	d := &daemon{cfg: &rel.now, log: log}
	d.parts.node, d.parts.proxy = node, prx
	d.parts.drain = func() {
		limit := rel.now.Load().Drain
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := prx.Shutdown(ctx); err != nil {
			log.Warn("drain ended by its limit", "limit", limit)
		}
	}
	d.parts.list = []part{
		{"admin", runAdmin(w, adm, log.Named("admin"))},
		{"journal", c.journal.Run},
		{"vip", keeper.Run},
		{"gossip", onPort(cfg.Cluster.Bind.Port(), c.gossip.Run)},
		{"byhand", c.shareByHand},
		{"peer", onPort(next(cfg.Cluster.Bind).Port(), c.streams.Run)},
		{"mirror", runMirror},
		{"pulse", onPort(next(cfg.Cluster.Bind).Port(), pls.Run)},
		{"resolver", names.Run},
		{"health", checker.Run},
		{"track", fit.tracker.Run},
		{"fitness", fit.run},
		{"proxy", untilAsked(prx.Run)},
		{"notify", ntf.Run},
		{"cluster", node.Run},
		{"reload", rel.follow(w.Again)},
	}
	return d, nil
}

func newKeeper(w World, cfg *configs.Config, log hclog.Logger) (*vip.Keeper, error) {
	c := cfg.VIP
	c.Node, c.RunDir, c.Failover, c.Votes = cfg.Node, cfg.RunDir, cfg.Cluster.Failover, cfg.Cluster.Quorum
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			if b.Host == "" {
				c.Neighbours = append(c.Neighbours, b.Address.Addr())
			}
		}
	}
	c.Neighbours = append(slices.Clone(cfg.Cluster.Mirrors), c.Neighbours...) // it finds out where they are
	sys, err := w.openVIP(c, log)
	if err != nil {
		return nil, fmt.Errorf("reach the kernel for the VIP: %w", err)
	}
	return vip.New(c, sys, log)
}

func policy(cfg *configs.Config) election.Policy {
	c := cfg.Cluster
	return election.Policy{
		Name: cfg.Node, Priority: c.Priority, Preempt: c.Preempt, PreemptDelay: c.PreemptDelay,
		Failover: c.Failover, Settle: c.Settle, Stagger: c.Failover, Handover: handoverTime,
		ReachHold:   cfg.Track.Hold,
		ForeignWait: cfg.VIP.Lease + 500*time.Millisecond,
		Quorum:      c.Quorum, Witness: c.Witness, Voters: len(c.Peers) + 1,
	}
}

func targets(cfg *configs.Config) []health.Target {
	var ts []health.Target
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			ts = append(ts, health.Target{Pool: p.Name, Backend: b.Name, Address: b.Address, Host: b.HostPort(), Config: p.Health, Greeting: greeting(p)})
		}
	}
	return ts
}

// greeting is what a probe begins with: backends that want a PROXY header want it from probes too, but not on a port that is there for probes.
func greeting(p configs.Pool) []byte {
	if p.Health.Port != 0 {
		return nil
	}
	return proxyheader.Append(nil, p.ProxyProtocol, netip.AddrPort{}, netip.AddrPort{})
}

func poolConfigs(cfg *configs.Config, key []byte) []pool.Config {
	var cs []pool.Config
	for _, p := range cfg.Pools {
		p.Secret, p.Unprobed = key, p.Health.Type == health.None
		cs = append(cs, p.Config)
	}
	return cs
}

// newBoot returns a number that no other start of any node has: by it a restart that nobody noticed is told.
func newBoot() uint64 {
	var b [8]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand.Read never fails
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

// next returns the port after the gossip's: beats and the peer stream are there.
func next(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }

func texts(as []netip.AddrPort) []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = a.String()
	}
	return out
}

func nextAll(as []netip.AddrPort) []netip.AddrPort {
	out := make([]netip.AddrPort, len(as))
	for i, a := range as {
		out[i] = next(a)
	}
	return out
}
