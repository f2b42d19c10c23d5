package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// act is one fault of the demo: how the leader is broken and how it comes back.
type act struct {
	title string
	mark  string // above the timeline, when it is done
	back  string // and when the node comes back
	do    func(ctx context.Context, p *lab.Pair, leader *lab.Node) (undo func() error, err error)
}

func acts() []act {
	return []act{
		{"plug of %s pulled out of the switch", "plug pulled", "plugged in", func(_ context.Context, p *lab.Pair, leader *lab.Node) (func() error, error) {
			f, err := p.PullAtSwitch(leader.Host)
			if err != nil {
				return nil, err
			}
			return f.Heal, nil
		}},
		{"kill -9 of everything on %s", "killed", "started", func(_ context.Context, p *lab.Pair, leader *lab.Node) (func() error, error) {
			p.KillNode(leader.Index)
			return func() error { return p.StartNode(leader.Index) }, nil
		}},
		{"%s hangs (SIGSTOP)", "stopped", "goes on", func(_ context.Context, p *lab.Pair, leader *lab.Node) (func() error, error) {
			p.StopNode(leader.Index)
			return func() error { p.ContNode(leader.Index); return nil }, nil
		}},
		{"%s is asked to end (SIGTERM)", "SIGTERM", "started", func(ctx context.Context, p *lab.Pair, leader *lab.Node) (func() error, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if err := p.TermNode(ctx, leader.Index); err != nil && !errors.As(err, new(*exec.ExitError)) {
				return nil, err
			}
			return func() error { return p.StartNode(leader.Index) }, nil
		}},
	}
}

// Times of an act.
const (
	patience = 5 * time.Second         // to be served again, or the fault was not survived
	lead     = 600 * time.Millisecond  // shown before the fault
	broken   = 1500 * time.Millisecond // from the fault to the return
	rejoined = 3 * time.Second         // from the return to the next act: settle, and two probes of each backend
)

// verdict is a line of the final table.
type verdict struct {
	title    string
	report   lab.Report
	dual     time.Duration
	leader   string // who leads after the fault
	survived bool
	why      string // if not
}

// play builds the pair and runs the acts.
func play(ctx context.Context, o options, dir string, stdout, stderr io.Writer) int {
	l, err := lab.New(dir)
	if err != nil {
		fmt.Fprintln(stderr, "tandem-demo:", err)
		return exitImpossible
	}
	defer l.Close()
	verdicts, err := perform(ctx, o, l, stdout)
	if ctx.Err() != nil {
		fmt.Fprintln(stdout, "\ninterrupted; everything is cleaned up")
		return exitInterrupted
	}
	if err != nil {
		fmt.Fprintln(stderr, "tandem-demo:", err)
		return exitNotSurvived
	}
	return table(stdout, verdicts)
}

func perform(ctx context.Context, o options, l *lab.Lab, stdout io.Writer) ([]verdict, error) {
	p, err := lab.NewPair(l, lab.PairConfig{Binary: o.binary})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stdout, "Two nodes, lb1 and lb2, with the VIP %s in front of two backends. A client opens 200 connections a second.\n", p.VIP)
	for i := range p.Nodes {
		if err := p.StartNode(i); err != nil {
			return nil, err
		}
	}
	load, err := p.Load(5 * time.Millisecond)
	if err != nil {
		return nil, err
	}
	if err := begin(ctx, p, load); err != nil {
		return nil, err
	}
	fmt.Fprintf(stdout, "One letter is %v. VIP at: 1, 2 the node that has it, ! both, . nobody. Client: # answered, + some failed, x none answered.\n", slot)
	s := newScreen(stdout)
	var verdicts []verdict
	for i, a := range acts() {
		v, err := a.perform(ctx, p, load, s, i+1)
		if err != nil {
			return verdicts, fmt.Errorf("act %d: %w", i+1, err)
		}
		if verdicts = append(verdicts, v); !v.survived {
			break // what comes next would only tell the same
		}
	}
	return verdicts, nil
}

// begin waits for the first leader and for both nodes to be ready.
func begin(ctx context.Context, p *lab.Pair, load *lab.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	if _, err := p.WaitLeader(ctx); err != nil {
		return fmt.Errorf("%w%s", err, ended(p))
	}
	if err := p.WaitServed(ctx, load, time.Second); err != nil {
		return err
	}
	return sleep(ctx, time.Second)
}

// ready waits for a leader and a served client before a fault.
func ready(ctx context.Context, p *lab.Pair, load *lab.Client) (*lab.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	leader, err := p.WaitLeader(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ended(p))
	}
	return leader, p.WaitServed(ctx, load, 300*time.Millisecond)
}

// ended tells which nodes are not running, which explains most failures to begin.
func ended(p *lab.Pair) (text string) {
	for _, n := range p.Nodes {
		if len(n.Pids()) == 0 {
			text += fmt.Sprintf("; %s has ended, see %s", n.Name(), n.LogPath())
		}
	}
	return text
}

// perform runs one act and judges it.
func (a act) perform(ctx context.Context, p *lab.Pair, load *lab.Client, s *screen, number int) (verdict, error) {
	leader, err := ready(ctx, p, load)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{title: fmt.Sprintf(a.title, leader.Name())}
	fmt.Fprintf(s.w, "\n%d. %s\n", number, v.title)
	t := &strip{pair: p, load: load, begin: time.Now()}
	stop := s.follow(ctx, t)
	err = a.run(ctx, t, leader, &v)
	stop()
	if err != nil {
		return v, err
	}
	s.finish(t, time.Now().Add(-lab.Patience)) // younger attempts may still be waiting
	v.report = load.Report(t.begin, time.Now().Add(-lab.Patience))
	v.dual = p.Watch.View(t.begin, time.Now()).Dual.Longest
	return v, nil
}

// run breaks the leader, waits for the other, and brings the broken one back.
func (a act) run(ctx context.Context, t *strip, leader *lab.Node, v *verdict) error {
	if err := sleep(ctx, lead); err != nil {
		return err
	}
	p, at := t.pair, time.Now()
	t.add(mark{at, a.mark})
	undo, err := a.do(ctx, p, leader)
	if err != nil {
		return err
	}
	v.survived, v.why = served(ctx, p, t.load, p.Other(leader))
	if err := sleep(ctx, time.Until(at.Add(broken))); err != nil {
		return err
	}
	v.leader = nameOf(p.Leader())
	t.add(mark{time.Now(), a.back})
	if err := undo(); err != nil {
		return err
	}
	if err := sleep(ctx, rejoined); err != nil {
		return err
	}
	if v.survived {
		if v.survived, v.why = served(ctx, p, t.load); !v.survived {
			v.why = "after the return: " + v.why
		}
	}
	if now := nameOf(p.Leader()); now != v.leader {
		v.leader += ", after the return by " + now
	}
	return nil
}

// served waits until the nodes given, if any, answer for the VIP, perhaps beside another, and the client gets its answers.
func served(ctx context.Context, p *lab.Pair, load *lab.Client, by ...*lab.Node) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, n := range by {
		if _, err := p.Watch.Wait(ctx, func(who []string) bool { return slices.Contains(who, n.Name()) }); err != nil {
			return false, n.Name() + " did not take over"
		}
	}
	if err := p.WaitServed(ctx, load, 200*time.Millisecond); err != nil {
		return false, "the client was not served again"
	}
	return true, ""
}

func nameOf(n *lab.Node) string {
	if n == nil {
		return "nobody alone"
	}
	return n.Name()
}

// table prints what the client saw of each fault.
func table(w io.Writer, verdicts []verdict) int {
	t := tabwriter.NewWriter(w, 2, 0, 3, ' ', 0)
	fmt.Fprintln(t, "\nfault\tblackout\tfailed requests\ttwo holders\tthen led by")
	code, late := exitSurvived, time.Duration(0)
	for _, v := range verdicts {
		late = max(late, v.report.Late)
		then := v.leader
		if !v.survived {
			then, code = "NOT SURVIVED: "+v.why, exitNotSurvived
		}
		fmt.Fprintf(t, "%s\t%v\t%d of %d\t%v\t%s\n", v.title, v.report.Blackout.Round(time.Millisecond), v.report.Failed, v.report.Attempts,
			v.dual.Round(time.Millisecond), then)
	}
	_ = t.Flush()
	fmt.Fprintln(w, "\nThe blackout is the longest time between two requests that were answered; at 200 a second it is 5 ms at best.")
	fmt.Fprintln(w, "Two holders: after a kill -9 the dead node's kernel still answers ARP, for up to 0.2 s, until its gate shuts. Clients have followed the new one by then.")
	if late > 50*time.Millisecond {
		fmt.Fprintf(w, "This machine is busy: the client itself was late by up to %v, so that these times say more about it than about the pair.\n", late.Round(time.Millisecond))
	}
	return code
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
