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
	name  string
	what  string
	runs  int // if not asked otherwise
	do    func(context.Context, *bench, int) (result, error)
	goals goals
	only  bool // measured with the systems that have a goal here, and no others
}

// goals says what a system must keep to. The peers of Tandem have none.
type goals map[string]goal

// default number of runs of a row.
const usual = 10

// faults lists the rows in the order of the table.
func faults() []fault {
	const msec = time.Millisecond
	still := goals{reference: {still: true, unfailed: true}}
	starved := goals{reference: {still: true, unlapsed: true}, unit: {still: true, unlapsed: true}}
	undisturbed := goals{reference: {still: true, checkDual: true}}
	return []fault{
		{name: "idle", what: "nothing happens for 20 s: CPU of one core, memory", runs: 3, do: idle, only: true, goals: goals{
			unwatched: {cpu: 4, memory: 40, still: true, unfailed: true}}},
		{name: "kill9-idle", what: "kill -9 of everything on the leader", runs: usual, do: crowded(0), goals: goals{
			reference: {blackout: 10 * msec, worst: 50 * msec, slowest: 50 * msec, lapse: 260 * msec}}},
		{name: "kill9-8000", what: "the same with 8,000 open client connections", runs: 5, do: crowded(8000), goals: goals{
			reference: {blackout: 50 * msec}}},
		{name: "plug", what: "the leader's plug is pulled at the switch", runs: usual, do: cut((*lab.Lab).PullAtSwitch), goals: goals{
			reference: {blackout: 250 * msec}, fast: {blackout: 150 * msec}, voting: {blackout: 800 * msec, checkDual: true}}},
		{name: "silent", what: "the leader's frames are dropped, its carrier stays", runs: usual, do: cut((*lab.Lab).SilentCut), goals: goals{
			reference: {blackout: 250 * msec}, fast: {blackout: 150 * msec}}},
		{name: "sigstop", what: "SIGSTOP of everything on the leader", runs: usual, do: hang, goals: goals{
			reference: {blackout: 350 * msec, dual: 10 * msec, checkDual: true, lapse: 260 * msec}}},
		{name: "sigcont", what: "the leader goes on 5 s after SIGSTOP: seen from then on", runs: usual, do: resumed, goals: goals{
			reference: {still: true, unfailed: true, checkDual: true}}},
		{name: "second-link", what: "SIGSTOP of a leader with a second link on the segment", runs: usual, do: twice, only: true, goals: goals{
			reference: {lapse: 260 * msec}}},
		{name: "proxy-arp", what: "the plug is pulled beside a router with proxy ARP", runs: usual, do: routed, only: true, goals: goals{
			reference: {claimed: 250 * msec}}},
		{name: "handover", what: "tandem handover", runs: usual, do: handover, only: true, goals: goals{
			reference: {blackout: 10 * msec, unfailed: true, slowest: 50 * msec}}},
		{name: "sigterm", what: "SIGTERM to the leader", runs: usual, do: term, goals: goals{
			reference: {blackout: 10 * msec, unfailed: true, slowest: 50 * msec}}},
		{name: "deaf-leader", what: "the leader hears nothing for 5 s", runs: usual, do: deafLeader, goals: goals{
			reference: {blackout: 300 * msec, checkDual: true}}},
		{name: "deaf", what: "the standby hears nothing for 5 s", runs: usual, do: deaf, goals: still},
		{name: "resets", what: "a firewall resets the stream between the nodes for 5 s", runs: usual, do: reset, only: true, goals: still},
		{name: "cut", what: "no frame between the nodes for 10 s, both reach everybody else", runs: usual, do: apart(between), goals: goals{
			reference: {still: true, checkDual: true}, mirrorless: {heal: 50 * msec}}},
		{name: "ipfilter", what: "IP between the nodes filtered for 10 s, ARP passes", runs: usual, do: apart(filtered), goals: undisturbed},
		{name: "oneway-standby", what: "for 10 s no frame from the leader reaches the standby", runs: usual, do: apart(toStandby), goals: goals{
			reference: {still: true, checkDual: true}, mirrorless: {atMost: 1, checkDual: true}}},
		{name: "oneway-leader", what: "for 10 s no frame from the standby reaches the leader", runs: usual, do: apart(toLeader), goals: goals{
			reference: {still: true, checkDual: true}, mirrorless: {atMost: 1, checkDual: true}}},
		{name: "heal", what: "a cut is healed: clients that keep their neighbour cache", runs: 25, do: healed, goals: goals{
			reference: {served: true}}},
		{name: "loss", what: "20 % loss between the nodes for 60 s", runs: usual, do: lossy, goals: undisturbed},
		{name: "hogs", what: "8 busy loops per core at nice -20 for 30 s", runs: 5, do: hogged(false), goals: starved},
		{name: "hogs-load", what: "the same with the proxy saturated by load", runs: 5, do: hogged(true), only: true, goals: starved},
		{name: "return", what: "the failed node returns", runs: 5, do: returned, goals: still},
	}
}

// before is how much of the time before a fault belongs to its report, so that the last success before it is seen.
const before = 200 * time.Millisecond

// crowded kills everything on the leader, with n client connections open through the VIP. Somebody who still believes the dead leader goes on asking
// it: it must refuse as long as it answers at all, and not swallow.
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
		believer, err := b.believe(leader)
		if err != nil {
			return result{}, err
		}
		defer believer.end()
		from := time.Now()
		b.pair.KillNode(leader.Index)
		r, err := b.takenOver(ctx, leader, from)
		if err != nil {
			return r, err
		}
		r.Resets, r.Hanging = believer.saw(time.Now().Add(-lab.Patience), from, r.Lapse)
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

// deafLeader drops everything towards the leader.
func deafLeader(ctx context.Context, b *bench, run int) (result, error) {
	leader, _, err := b.roles(ctx, run)
	if err != nil {
		return result{}, err
	}
	f, err := b.pair.Deafen(leader.Host)
	if err != nil {
		return result{}, err
	}
	return b.during(ctx, f, 5*time.Second)
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
	healed := time.Now()
	if err := sleep(ctx, time.Second); err != nil {
		return result{}, err
	}
	r, err := b.report(ctx, from)
	for _, c := range b.pair.Watch.View(healed, time.Now()).Changes {
		if len(c.Who) == 1 { // that it stays so is seen in the number of moves
			r.Healed = max(0, ms(c.At.Sub(healed)))
			break
		}
	}
	return r, err
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
