package daemon

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/fitness"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/health/track"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/vip"
)

// fitJudge turns facts of several parts into the fitness of this node.
type fitJudge struct {
	keeper  *vip.Keeper
	proxy   *proxy.Proxy
	tracker *track.Tracker
	checker *health.Checker
	reach   int           // the weight of a pool
	probed  chan struct{} // poked when the state of a backend changes

	slow    atomic.Pointer[fitness.Inputs] // all but the link, which is asked at every turn
	changed chan struct{}
}

func newFitness(cfg *configs.Config, k *vip.Keeper, p *proxy.Proxy, log hclog.Logger) *fitJudge {
	f := &fitJudge{
		keeper: k, proxy: p, reach: cfg.Track.ReachWeight, probed: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	f.tracker = track.New(append(slices.Clone(cfg.Track.Items), f.selfTest(cfg)), log)
	return f
}

const selfTest = "data plane"

// selfTest connects to the own listeners: on the leader through the VIP. It fails after some five seconds, which neither a burst nor a lost SYN takes, and
// its failure lingers: the node that let go because of it stays the worse one for a minute, so that the VIP does not go straight back.
func (f *fitJudge) selfTest(cfg *configs.Config) track.Item {
	vips := map[netip.Addr]bool{}
	for _, p := range cfg.VIP.Addresses {
		vips[p.Addr()] = true
	}
	return track.Item{
		Kind: track.Own, Name: selfTest, Weight: fitness.DataPlane, Interval: 2 * time.Second, Timeout: 2 * time.Second, Rise: 3, Fall: 3, Linger: time.Minute,
		Check: func(ctx context.Context) error {
			holds := f.keeper.State().Holds
			return f.proxy.Test(ctx, func(a netip.Addr) bool { return holds || !vips[a] })
		},
	}
}

// follow wakes the judge when a backend's state changes.
func (f *fitJudge) follow(report func(pool, backend string, up bool, reason string)) func(string, string, bool, string) {
	return func(pool, backend string, up bool, reason string) {
		report(pool, backend, up, reason)
		poke(f.probed)
	}
}

// run follows listeners, tracked things and backends.
func (f *fitJudge) run(ctx context.Context) error {
	for {
		f.slow.Store(f.look())
		poke(f.changed)
		select {
		case <-ctx.Done():
			return nil
		case <-f.proxy.Changed():
		case <-f.tracker.Changed():
		case <-f.probed:
		}
	}
}

func (f *fitJudge) look() *fitness.Inputs {
	in := &fitness.Inputs{}
	for _, l := range f.proxy.Snapshot() {
		if !l.Open && l.Error != "" {
			in.Listeners = append(in.Listeners, l.Name)
		}
	}
	for _, t := range f.tracker.Snapshot() {
		switch {
		case t.State != track.Failing:
		case t.Kind == track.Own:
			in.DataPlane = t.Reason
		default:
			in.Failing = append(in.Failing, fitness.Tracked{Name: string(t.Kind) + " " + t.Name, Weight: t.Weight, Absolute: t.Absolute, Prompt: t.Kind == track.Interface})
		}
	}
	at := map[string]int{}
	for _, h := range f.checker.Snapshot() {
		i, ok := at[h.Pool]
		if !ok {
			i = len(in.Pools)
			at[h.Pool] = i
			in.Pools = append(in.Pools, fitness.Pool{Name: h.Pool, Weight: f.reach})
		}
		in.Pools[i].All++
		if h.State != health.Down {
			in.Pools[i].Up++
		}
	}
	return in
}

func (f *fitJudge) judge() cluster.Fitness {
	var in fitness.Inputs
	if slow := f.slow.Load(); slow != nil {
		in = *slow
	}
	s := f.keeper.State()
	in.LinkUp, in.LinkWhy, in.Contested = s.LinkUp, s.LinkWhy, s.Contested
	if s.Barred != nil {
		in.Barred = s.Barred.Error()
	}
	v := fitness.Judge(in)
	return cluster.Fitness{Fit: v.Fit, Rank: v.Rank, Slow: v.Slow, Reach: v.Reach, Refuses: len(in.Listeners) > 0, Why: v.Why}
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
