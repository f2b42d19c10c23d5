package main

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// scene is what faults act on.
type scene struct {
	*lab.Pair
	leader *lab.Node // when the episode began
	clock  bool      // the wall clock of the machine may be set
}

// kind is a kind of fault.
type kind struct {
	name string
	// begin breaks something, on the given node where the kind is about one, and returns how to mend it. It may take as long as lasts; it returns at once
	// when ctx ends.
	begin func(ctx context.Context, s *scene, n *lab.Node, lasts time.Duration) (mend func() error, err error)
	min   time.Duration // how long it lasts, at least and at most
	max   time.Duration
	takes bool // the node cannot lead while it lasts
	bars  bool // nor can the standby, which is what the kind is about
	cost  cost
}

// cost is what an episode may cost: generous, since what is tight is measured elsewhere.
type cost struct {
	blackout time.Duration // the longest
	dual     time.Duration // two answer ARP, in sum
}

// unlimited is for what nobody could serve through.
const unlimited = time.Duration(math.MaxInt64)

func (c cost) add(d cost) cost {
	sum := func(a, b time.Duration) time.Duration {
		if a == unlimited || b == unlimited {
			return unlimited
		}
		return a + b
	}
	return cost{sum(c.blackout, d.blackout), sum(c.dual, d.dual)}
}

const (
	msec = time.Millisecond
	// seen is what the observer itself adds: two questions may meet both nodes in the middle of a move.
	seen = 20 * msec
)

// kinds lists what is done. The order is part of what a seed means: add at the end.
func kinds() []kind {
	killed := cost{500 * msec, 500 * msec} // the kernel of a dead leader answers ARP until its gate shuts
	hung := cost{time.Second, 100 * msec}
	moved := cost{300 * msec, 100 * msec}
	none := cost{300 * msec, seen}
	return []kind{
		{name: "kill -9", begin: kill, min: 500 * msec, max: 4 * time.Second, takes: true, cost: killed},
		{name: "SIGTERM and restart", begin: term, min: 500 * msec, max: 4 * time.Second, takes: true, cost: moved},
		{name: "SIGSTOP", begin: stop, min: 20 * msec, max: 6 * time.Second, takes: true, cost: hung},
		{name: "pause by the freezer", begin: pause, min: 20 * msec, max: 6 * time.Second, takes: true, cost: hung},
		{name: "plug pulled at the switch", begin: on((*lab.Lab).PullAtSwitch), min: 50 * msec, max: 4 * time.Second, takes: true, cost: hung},
		{name: "link down", begin: on((*lab.Lab).PullAtHost), min: 50 * msec, max: 4 * time.Second, takes: true, cost: hung},
		{name: "silent cut", begin: on((*lab.Lab).SilentCut), min: 50 * msec, max: 4 * time.Second, takes: true, cost: hung},
		{name: "link flaps", begin: flap, min: 500 * msec, max: 2 * time.Second, takes: true, cost: cost{2 * time.Second, 300 * msec}},
		{name: "cut between the nodes", begin: both((*lab.Lab).CutBetween), min: 100 * msec, max: 5 * time.Second, cost: none},
		{name: "IP filtered between the nodes", begin: both((*lab.Lab).FilterIP), min: 100 * msec, max: 5 * time.Second, cost: none},
		{name: "one-way cut from it", begin: from, min: 100 * msec, max: 5 * time.Second, cost: cost{500 * msec, 100 * msec}},
		{name: "one-way cut to it", begin: to, min: 100 * msec, max: 5 * time.Second, cost: cost{500 * msec, 100 * msec}},
		{name: "20 % loss between the nodes", begin: loss, min: time.Second, max: 5 * time.Second, cost: none},
		{name: "mute", begin: on((*lab.Lab).Mute), min: 100 * msec, max: 4 * time.Second, takes: true, cost: cost{time.Second, 300 * msec}},
		{name: "deaf standby", begin: deafStandby, min: 100 * msec, max: 4 * time.Second, bars: true, cost: none},
		{name: "busy loops", begin: hogs, min: time.Second, max: 4 * time.Second, cost: cost{800 * msec, 100 * msec}},
		{name: "VIP removed", begin: unaddress, max: 500 * msec, cost: cost{500 * msec, 50 * msec}},
		{name: "ruleset flushed", begin: flush, max: 500 * msec, cost: cost{500 * msec, 50 * msec}},
		{name: "stream reset by a firewall", begin: reset, min: 100 * msec, max: 2 * time.Second, cost: none},
		{name: "deaf", begin: on((*lab.Lab).Deafen), min: 100 * msec, max: 4 * time.Second, takes: true, cost: hung},
		{name: "wall clock steps", begin: stepClock, min: 100 * msec, max: time.Second, cost: none},
	}
}

func kill(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	s.KillNode(n.Index)
	return func() error { return s.StartNode(n.Index) }, nil
}

func term(ctx context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	err := s.TermNode(ctx, n.Index)
	return func() error { return s.StartNode(n.Index) }, err
}

func stop(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	s.StopNode(n.Index)
	return func() error { s.ContNode(n.Index); return nil }, nil
}

func pause(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.Pause(n.Host))
}

// on is a fault of one host, both one of two.
func on(f func(*lab.Lab, *lab.Host) (*lab.Fault, error)) func(context.Context, *scene, *lab.Node, time.Duration) (func() error, error) {
	return func(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
		return healing(f(s.Lab, n.Host))
	}
}

func both(f func(_ *lab.Lab, a, b *lab.Host) (*lab.Fault, error)) func(context.Context, *scene, *lab.Node, time.Duration) (func() error, error) {
	return func(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
		return healing(f(s.Lab, n.Host, s.Other(n).Host))
	}
}

func from(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.CutOneWay(n.Host, s.Other(n).Host))
}

func to(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.CutOneWay(s.Other(n).Host, n.Host))
}

func loss(_ context.Context, s *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.Lose(n.Host, s.Other(n).Host, 0.2))
}

func deafStandby(_ context.Context, s *scene, _ *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.Deafen(s.Other(s.leader).Host))
}

func hogs(_ context.Context, s *scene, _ *lab.Node, _ time.Duration) (func() error, error) {
	return healing(s.Hogs(8, 0))
}

func reset(_ context.Context, _ *scene, n *lab.Node, _ time.Duration) (func() error, error) {
	return healing(n.ResetTCP(streamPort))
}

// streamPort is that of the stream between the nodes: the one after the gossip's.
const streamPort = 7947

// flap takes the link away and gives it back, again and again.
func flap(ctx context.Context, s *scene, n *lab.Node, lasts time.Duration) (func() error, error) {
	end := time.Now().Add(lasts)
	for time.Now().Before(end) && ctx.Err() == nil {
		f, err := s.PullAtSwitch(n.Host)
		if err != nil {
			return nil, err
		}
		sleep(ctx, lasts/10)
		if err := f.Heal(); err != nil {
			return nil, err
		}
		sleep(ctx, lasts/10)
	}
	return func() error { return nil }, nil
}

// unaddress removes the VIP from whoever leads, as a network manager or an operator would.
func unaddress(_ context.Context, s *scene, _ *lab.Node, _ time.Duration) (func() error, error) {
	n := s.leader
	has, err := n.Addrs()
	if err != nil {
		return nil, err
	}
	for _, p := range has {
		if p == netip.PrefixFrom(s.VIP, s.VIP.BitLen()) {
			err = errors.Join(err, n.DelAddr(p))
		}
	}
	return func() error { return nil }, err
}

// flush removes every rule of the host, as the restart of a firewall does.
func flush(_ context.Context, s *scene, _ *lab.Node, _ time.Duration) (func() error, error) {
	return func() error { return nil }, s.leader.FlushRules()
}

func healing(f *lab.Fault, err error) (func() error, error) {
	if err != nil {
		return nil, err
	}
	return f.Heal, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
