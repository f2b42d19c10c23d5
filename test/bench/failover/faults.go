package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// fault is one row of the table: how it is done, and what Tandem must keep to.
type fault struct {
	name string
	what string
	runs int // if not asked otherwise
	do   func(context.Context, *bench, int) (result, error)
	goal goal
}

// faults lists the rows in the order of the table.
func faults() []fault {
	return []fault{
		{"kill9-idle", "kill -9 of everything on the leader", 5, crowded(0), goal{blackout: 20 * time.Millisecond}},
		{"kill9-8000", "the same with 8,000 open client connections", 5, crowded(8000), goal{blackout: 50 * time.Millisecond}},
		{"deaf", "the standby hears nothing for 5 s", 5, deaf, goal{still: true, unfailed: true}},
		{"plug", "the leader's plug is pulled at the switch", 5, cut((*lab.Lab).PullAtSwitch), goal{blackout: 300 * time.Millisecond}},
		{"silent", "the leader's frames are dropped, its carrier stays", 5, cut((*lab.Lab).SilentCut), goal{blackout: 300 * time.Millisecond}},
		{"sigstop", "SIGSTOP of everything on the leader", 5, hang, goal{blackout: 400 * time.Millisecond, dual: 20 * time.Millisecond, checkDual: true}},
		{"sigterm", "SIGTERM to the leader", 5, term, goal{blackout: 15 * time.Millisecond, unfailed: true}},
		{"ipfilter", "IP between the nodes filtered for 10 s, ARP passes", 5, filtered, goal{still: true, checkDual: true}},
		{"heal", "a cut is healed: clients that keep their neighbour cache", 40, healed, goal{served: true}},
		{"return", "the failed node returns", 5, returned, goal{still: true, unfailed: true}},
	}
}

// before is how much of the time before a fault belongs to its report, so that the last success before it is seen.
const before = 200 * time.Millisecond

// crowded kills everything on the leader, with n client connections open through the VIP.
func crowded(n int) func(context.Context, *bench, int) (result, error) {
	return func(ctx context.Context, b *bench, _ int) (result, error) {
		if n > 0 {
			crowd, err := b.pair.Crowd.Crowd(b.addr(lab.PortTCP), n)
			if err != nil {
				return result{}, err
			}
			defer crowd.Close()
			if err := b.quiet(ctx); err != nil {
				return result{}, err
			}
		}
		leader, err := b.pair.WaitLeader(ctx)
		if err != nil {
			return result{}, err
		}
		from := time.Now()
		b.pair.KillNode(leader.Index)
		r, err := b.takenOver(ctx, leader, from)
		if err != nil {
			return r, err
		}
		return r, b.restart(ctx, leader)
	}
}

// lead makes the nodes lead in turn, from run to run: which of them has the higher priority makes a difference.
func (b *bench) lead(ctx context.Context, run int) error {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil || leader.Index == run%2 {
		return err
	}
	b.pair.KillNode(leader.Index)
	if _, err := b.takenOver(ctx, leader, time.Now()); err != nil {
		return err
	}
	if err := b.restart(ctx, leader); err != nil {
		return err
	}
	return b.quiet(ctx)
}

// deaf drops everything towards the standby. The observer does not see a deaf node that claims, since it does not hear the question: what the
// clients get tells.
func deaf(ctx context.Context, b *bench, run int) (result, error) {
	if err := b.lead(ctx, run); err != nil {
		return result{}, err
	}
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	f, err := b.pair.Deafen(b.pair.Other(leader).Host)
	if err != nil {
		return result{}, err
	}
	return b.during(ctx, f, 5*time.Second)
}

// filtered drops IP between the nodes.
func filtered(ctx context.Context, b *bench, run int) (result, error) {
	if err := b.lead(ctx, run); err != nil {
		return result{}, err
	}
	f, err := b.pair.FilterIP(b.pair.Nodes[0].Host, b.pair.Nodes[1].Host)
	if err != nil {
		return result{}, err
	}
	return b.during(ctx, f, 10*time.Second)
}

// during lets a fault last, heals it, and reports on all of it and the second after.
func (b *bench) during(ctx context.Context, f *lab.Fault, d time.Duration) (result, error) {
	from := time.Now()
	if err := sleep(ctx, d); err != nil {
		return result{}, err
	}
	if err := f.Heal(); err != nil {
		return result{}, err
	}
	if err := sleep(ctx, time.Second); err != nil {
		return result{}, err
	}
	return b.report(ctx, from)
}

// cut takes the leader off the segment until the other has taken over.
func cut(how func(*lab.Lab, *lab.Host) (*lab.Fault, error)) func(context.Context, *bench, int) (result, error) {
	return func(ctx context.Context, b *bench, _ int) (result, error) {
		leader, err := b.pair.WaitLeader(ctx)
		if err != nil {
			return result{}, err
		}
		from := time.Now()
		f, err := how(b.pair.Lab, leader.Host)
		if err != nil {
			return result{}, err
		}
		r, err := b.takenOver(ctx, leader, from)
		if err != nil {
			return r, err
		}
		if err := f.Heal(); err != nil {
			return r, err
		}
		return r, sleep(ctx, b.system.settle)
	}
}

// hang stops every process of the leader, whose kernel goes on.
func hang(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	from := time.Now()
	b.pair.StopNode(leader.Index)
	r, err := b.takenOver(ctx, leader, from)
	if err != nil {
		return r, err
	}
	b.pair.KillNode(leader.Index)
	return r, b.restart(ctx, leader)
}

// term asks the leader to end.
func term(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	from := time.Now()
	if err := b.pair.TermNode(ctx, leader.Index); err != nil && !errors.As(err, new(*exec.ExitError)) { // HAProxy dies of the signal
		return result{}, err
	}
	r, err := b.takenOver(ctx, leader, from)
	if err != nil {
		return r, err
	}
	return r, b.restart(ctx, leader)
}

// returned kills the leader and reports on its return.
func returned(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	b.pair.KillNode(leader.Index)
	if _, err := b.takenOver(ctx, leader, time.Now()); err != nil {
		return result{}, err
	}
	if err := sleep(ctx, time.Second); err != nil { // not until one answers: a killed keepalived leaves the address behind
		return result{}, err
	}
	from := time.Now()
	if err := b.pair.StartNode(leader.Index); err != nil {
		return result{}, err
	}
	if err := sleep(ctx, b.system.settle); err != nil {
		return result{}, err
	}
	return b.report(ctx, from)
}

// healed breaks the segment in one of three ways, long enough for the slowest to react, and asks whether every quiet client is served within
// a second after the heal.
func healed(ctx context.Context, b *bench, run int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	clients, err := b.stubborn()
	if err != nil {
		return result{}, err
	}
	defer func() {
		for _, c := range clients {
			c.Stop()
		}
	}()
	f, err := b.split(leader, run)
	if err != nil {
		return result{}, err
	}
	if err := sleep(ctx, 5*time.Second); err != nil {
		return result{}, err
	}
	if err := f.Heal(); err != nil {
		return result{}, err
	}
	from := time.Now()
	if err := sleep(ctx, time.Second+lab.Patience+500*time.Millisecond); err != nil {
		return result{}, err
	}
	r := result{Note: f.What, Clients: len(clients)}
	for _, c := range clients {
		seen, after := c.Report(from, from.Add(time.Second)), c.Report(from.Add(time.Second), from.Add(1500*time.Millisecond))
		// Served within a second, and still afterwards: a client may have been served by a holder that lost.
		if seen.Failed == seen.Attempts || after.Failed == after.Attempts {
			r.Unserved++
		}
		r.Failed += seen.Failed
		r.Attempts += seen.Attempts
	}
	v := b.pair.Watch.View(from, time.Now())
	r.Holders = v.String()
	r.Dual = ms(v.Dual.Longest)
	return r, nil
}

// split breaks the segment: no frame between the nodes, two halves with clients in both, the leader alone.
func (b *bench) split(leader *lab.Node, run int) (*lab.Fault, error) {
	p := b.pair
	standby := p.Other(leader)
	switch run % 3 {
	case 0:
		return p.CutBetween(leader.Host, standby.Host)
	case 1:
		half := len(p.Quiet) / 2
		one := append([]*lab.Host{leader.Host, p.Backends[0].Host}, p.Quiet[:half]...)
		other := append([]*lab.Host{standby.Host, p.Backends[1].Host, p.Gateway}, p.Quiet[half:]...)
		return p.Partition(one, other)
	default:
		return p.SilentCut(leader.Host)
	}
}

// stubborn starts a client on every quiet host, after each has learned who has the VIP.
func (b *bench) stubborn() ([]*lab.Client, error) {
	var clients []*lab.Client
	for _, h := range b.pair.Quiet {
		if err := h.KeepNeighbours(b.pair.VIP); err != nil {
			return clients, fmt.Errorf("quiet client: %w", err)
		}
		c, err := h.Client(b.addr(lab.PortHTTP), 20*time.Millisecond)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}
