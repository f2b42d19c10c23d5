package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// every is the time between the client's attempts.
const every = 2 * time.Millisecond

// quietClients is how many clients with a stubborn neighbour cache there are.
const quietClients = 4

// bench is one system in one lab.
type bench struct {
	system system
	binary string
	every  time.Duration // between attempts, and between the observer's questions
	lab    *lab.Lab
	pair   *lab.Pair
	load   *lab.Client
}

// result is one run, in milliseconds where it is a time.
type result struct {
	Fault    string         `json:"fault"`
	System   string         `json:"system"`
	Run      int            `json:"run"`
	Blackout float64        `json:"blackout_ms"`
	ByEnds   float64        `json:"blackout_by_ends_ms"`
	Attempts int            `json:"attempts"`
	Failed   int            `json:"failed"`
	How      map[string]int `json:"failures,omitempty"` // what became of those that failed
	At       float64        `json:"at_ms"`              // when the blackout began, since the fault
	Slowest  float64        `json:"slowest_ms"`
	Late     float64        `json:"client_late_ms"` // by which the client itself was late: no blackout below it means anything
	Dual     float64        `json:"dual_ms"`
	DualSum  float64        `json:"dual_total_ms"`
	Moves    int            `json:"moves"`                 // how often another host came to hold alone
	Healed   float64        `json:"healed_ms,omitempty"`   // after the heal, until one alone answered for good
	Lapse    float64        `json:"lapse_ms,omitempty"`    // after the fault, until the old holder was heard for the last time
	Resets   int            `json:"resets,omitempty"`      // meanwhile: connections to the old holder that it refused
	Hanging  int            `json:"hanging,omitempty"`     // and those that it left without an answer
	Claimed  float64        `json:"claimed_ms,omitempty"`  // after the fault, until the other node answered
	Lapses   int            `json:"lapses,omitempty"`      // how often a gate lapsed, by the logs of the nodes
	CPU      float64        `json:"cpu_percent,omitempty"` // of one core, of the node that used more
	Memory   float64        `json:"memory_mib,omitempty"`  // resident, of the node that has more
	Clients  int            `json:"clients,omitempty"`
	Unserved int            `json:"unserved,omitempty"`
	Holders  string         `json:"holders"`
	Lost     bool           `json:"not_survived,omitempty"`
	Note     string         `json:"note,omitempty"`
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// open builds the lab and starts both nodes and the load.
func open(ctx context.Context, s system, binary, dir string) (*bench, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	l, err := lab.New(dir)
	if err != nil {
		return nil, err
	}
	b := &bench{system: s, binary: binary, every: every, lab: l}
	if s.every > 0 {
		b.every = s.every
	}
	if err := b.start(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return b, nil
}

func (b *bench) start(ctx context.Context) (err error) {
	nodes := 2
	if b.system.witness {
		nodes = 3
	}
	b.pair, err = lab.NewPair(b.lab, lab.PairConfig{
		Nodes: nodes, Witness: b.system.witness, Quorum: b.system.witness,
		Launch: b.system.launch, Binary: b.binary, Edit: b.system.edit, Quiet: quietClients, Every: b.every, Weight: b.system.weight,
	})
	if err != nil {
		return err
	}
	for i := range b.pair.Nodes {
		if err := b.pair.StartNode(i); err != nil {
			return err
		}
	}
	if b.load, err = b.pair.Load(b.every); err != nil {
		return err
	}
	if err := sleep(ctx, b.system.settle); err != nil {
		return err
	}
	if err := b.alive(); err != nil {
		return err
	}
	return b.quiet(ctx)
}

// alive says which process has ended that should not have.
func (b *bench) alive() error {
	for _, n := range b.pair.Nodes {
		for _, p := range n.Procs {
			select {
			case <-p.Done():
				return fmt.Errorf("%s on %s has ended by itself: see %s", p.Name, n.Name(), filepath.Base(p.Log))
			default:
			}
		}
	}
	return nil
}

// addr is a listener of the VIP.
func (b *bench) addr(port uint16) netip.AddrPort { return netip.AddrPortFrom(b.pair.VIP, port) }

// quiet waits until one node leads and the client is served without a failure.
func (b *bench) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := b.pair.WaitLeader(ctx); err != nil {
		return err
	}
	return b.pair.WaitServed(ctx, b.load, max(time.Second, 4*b.every))
}

// restart starts a node again and waits until it can take over.
func (b *bench) restart(ctx context.Context, n *lab.Node) error {
	if err := b.pair.StartNode(n.Index); err != nil {
		return err
	}
	if err := sleep(ctx, b.system.settle); err != nil {
		return err
	}
	return b.alive()
}

// patience is how long a system may take to serve again before its run counts as not survived.
const patience = 20 * time.Second

// errLost ends a run that was not survived. It comes with a result; the lab is in no state for the next run.
var errLost = errors.New("not survived")

// takenOver waits until the other node answers and the client is served again, and reports since the fault. Not to be served again is a
// result as well: the blackout counts as far as it was watched.
func (b *bench) takenOver(parent context.Context, old *lab.Node, from time.Time) (result, error) {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	other := b.pair.Other(old).Name()
	_, lost := b.pair.Watch.Wait(ctx, func(who []string) bool { return slices.Contains(who, other) })
	if lost == nil {
		lost = b.pair.WaitServed(ctx, b.load, 500*time.Millisecond)
	}
	r, err := b.report(parent, from)
	r.Lapse = lapse(b.pair.Watch.View(from, time.Now()), from, old.Name())
	if err == nil && lost != nil {
		r.Lost, r.Note = true, fmt.Sprintf("not survived within %v: %v", patience, lost)
		return r, errLost
	}
	return r, err
}

// report sums up what was seen since the fault. It waits for the attempts that are under way.
func (b *bench) report(ctx context.Context, from time.Time) (result, error) {
	to := time.Now()
	if err := sleep(ctx, lab.Patience+100*time.Millisecond); err != nil {
		return result{}, err
	}
	r, v := b.load.Report(from.Add(-before), to), b.pair.Watch.View(from.Add(-before), to)
	return result{
		Blackout: ms(r.Blackout), ByEnds: ms(r.ByEnds), Attempts: r.Attempts, Failed: r.Failed, How: r.Failures(), At: ms(r.At.Sub(from)), Slowest: ms(r.Slowest), Late: ms(r.Late),
		Dual: ms(v.Dual.Longest), DualSum: ms(v.Dual.Total), Moves: moves(v), Holders: v.String(),
	}, nil
}

// lapse is how long after the fault one of the old holder's links was heard for the last time.
func lapse(v lab.View, from time.Time, names ...string) float64 {
	last := from
	for i, c := range v.Changes {
		if i+1 < len(v.Changes) && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.Who, n) }) {
			last = v.Changes[i+1].At
		}
	}
	return max(0, ms(last.Sub(from)))
}

// moves counts how often another host came to hold alone.
func moves(v lab.View) (n int) {
	last := ""
	for _, c := range v.Changes {
		if len(c.Who) != 1 || c.Who[0] == last {
			continue
		}
		if last != "" {
			n++
		}
		last = c.Who[0]
	}
	return n
}

// run measures one fault once.
func (b *bench) run(ctx context.Context, f fault, run int) (result, error) {
	if err := b.quiet(ctx); err != nil {
		return result{}, err
	}
	now := time.Now()
	b.load.Forget(now.Add(-time.Second))
	b.pair.Watch.Forget(now.Add(-time.Second))
	r, err := f.do(ctx, b, run)
	r.Fault, r.System, r.Run = f.name, b.system.name, run
	return r, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
