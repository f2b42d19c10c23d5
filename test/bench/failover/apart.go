package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// breach breaks something between leader and standby.
type breach func(p *lab.Pair, leader, standby *lab.Host) (*lab.Fault, error)

func between(p *lab.Pair, leader, standby *lab.Host) (*lab.Fault, error) {
	return p.CutBetween(leader, standby)
}

func filtered(p *lab.Pair, leader, standby *lab.Host) (*lab.Fault, error) {
	return p.FilterIP(leader, standby)
}

func toStandby(p *lab.Pair, leader, standby *lab.Host) (*lab.Fault, error) {
	return p.CutOneWay(leader, standby)
}

func toLeader(p *lab.Pair, leader, standby *lab.Host) (*lab.Fault, error) {
	return p.CutOneWay(standby, leader)
}

// apart breaks something between the nodes for 10 s, with either node leading in turn.
func apart(how breach) func(context.Context, *bench, int) (result, error) {
	return func(ctx context.Context, b *bench, run int) (result, error) {
		leader, standby, err := b.roles(ctx, run)
		if err != nil {
			return result{}, err
		}
		f, err := how(b.pair, leader.Host, standby.Host)
		if err != nil {
			return result{}, err
		}
		return b.during(ctx, f, 10*time.Second)
	}
}

// lossy loses a fifth of the frames between the nodes for a minute.
func lossy(ctx context.Context, b *bench, run int) (result, error) {
	leader, standby, err := b.roles(ctx, run)
	if err != nil {
		return result{}, err
	}
	f, err := b.pair.Lose(leader.Host, standby.Host, 0.2)
	if err != nil {
		return result{}, err
	}
	return b.during(ctx, f, time.Minute)
}

// reset has a firewall on the leader reset the stream between the nodes.
func reset(ctx context.Context, b *bench, run int) (result, error) {
	leader, _, err := b.roles(ctx, run)
	if err != nil {
		return result{}, err
	}
	f, err := leader.ResetTCP(streamPort)
	if err != nil {
		return result{}, err
	}
	return b.during(ctx, f, 5*time.Second)
}

// streamPort is the port after that of the gossip.
const streamPort = 7947

// roles makes the nodes lead in turn and says who leads.
func (b *bench) roles(ctx context.Context, run int) (leader, standby *lab.Node, err error) {
	if err := b.lead(ctx, run); err != nil {
		return nil, nil, err
	}
	if leader, err = b.pair.WaitLeader(ctx); err != nil {
		return nil, nil, err
	}
	return leader, b.pair.Other(leader), nil
}

// resumed lets a leader that was stopped go on after 5 s, when the other one leads, and reports on what follows.
func resumed(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	from := time.Now()
	b.pair.StopNode(leader.Index)
	if r, err := b.takenOver(ctx, leader, from); err != nil {
		return r, err
	}
	if err := sleep(ctx, time.Until(from.Add(5*time.Second))); err != nil {
		return result{}, err
	}
	goesOn := time.Now()
	b.pair.ContNode(leader.Index)
	if err := sleep(ctx, b.system.settle); err != nil {
		return result{}, err
	}
	return b.report(ctx, goesOn)
}

// handover asks the leader for a planned move.
func handover(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	from := time.Now()
	out, err := exec.CommandContext(ctx, b.binary, "handover", "--socket", leader.Socket()).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("tandem handover: %w: %s", err, out)
	}
	r, err := b.takenOver(ctx, leader, from)
	r.Note = strings.TrimSpace(string(out))
	return r, err
}

// idle measures what the nodes use when nothing happens: the clients ask once a second.
func idle(ctx context.Context, b *bench, _ int) (result, error) {
	from := time.Now()
	const span = 20 * time.Second
	begun := make([]lab.Usage, len(b.pair.Nodes))
	var errs []error
	for i, n := range b.pair.Nodes {
		var err error
		begun[i], err = n.Procs[0].Usage()
		errs = append(errs, err)
	}
	if err := sleep(ctx, span); err != nil {
		return result{}, err
	}
	v := b.pair.Watch.View(from, time.Now())
	r := result{Holders: v.String(), Moves: moves(v)}
	for i, n := range b.pair.Nodes {
		ended, err := n.Procs[0].Usage()
		errs = append(errs, err)
		r.CPU = max(r.CPU, 100*(ended.CPU-begun[i].CPU).Seconds()/span.Seconds())
		r.Memory = max(r.Memory, float64(ended.Memory)/(1<<20))
	}
	return r, errors.Join(errs...)
}
