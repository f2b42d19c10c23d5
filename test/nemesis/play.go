package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

const (
	// step is the time between the client's attempts, and between the observer's questions.
	step = 5 * msec
	// before is how much of the time before an episode belongs to it: the last success and the holder before.
	before = 100 * msec
	// recovery is how long it may take after everything is mended until one node holds and serves, and the other is its standby.
	recovery = 10 * time.Second
)

// player plays episodes in one lab.
type player struct {
	scene
	load  *lab.Client
	out   io.Writer
	began time.Time
	total totals
}

// play breaks and mends until the time is over, and returns how many episodes cost more than they may. An error means that it could not go on.
func play(ctx context.Context, o options, out io.Writer) (broken int, err error) {
	l, err := lab.New(o.dir)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	p := &player{out: out, began: time.Now(), total: totals{kinds: map[string]*total{}}}
	p.clock = o.clock
	if p.Pair, err = lab.NewPair(l, lab.PairConfig{Binary: o.binary, Every: step}); err != nil {
		return 0, err
	}
	for i := range p.Nodes {
		if err := p.StartNode(i); err != nil {
			return 0, err
		}
	}
	if p.load, err = p.Load(step); err != nil {
		return 0, err
	}
	if err := p.recovered(ctx); err != nil {
		return 0, err
	}
	p.began = time.Now()
	r := rand.New(rand.NewPCG(o.seed, 0))
	all := kinds()
	for n := 1; time.Since(p.began) < o.duration && ctx.Err() == nil; n++ {
		ok, err := p.episode(ctx, n, draw(r, all))
		if err != nil && ctx.Err() == nil {
			return broken, fmt.Errorf("episode %d: %w", n, err)
		}
		if !ok {
			broken++
		}
	}
	p.total.print(out, time.Since(p.began))
	return broken, nil
}

// episode breaks, mends, waits until all is well, and judges.
func (p *player) episode(ctx context.Context, n int, e episode) (ok bool, err error) {
	if p.leader, err = p.WaitLeader(ctx); err != nil {
		return false, err
	}
	from := time.Now()
	p.load.Forget(from.Add(-time.Second))
	p.Watch.Forget(from.Add(-time.Second))
	err = p.act(ctx, e, from)
	mended := time.Now()
	if err == nil {
		err = p.recovered(ctx)
	}
	took := time.Since(mended)
	sleep(ctx, e.rest)
	to := time.Now()
	sleep(ctx, lab.Patience+10*step)
	s := sum{cost: e.allowed(), took: took, report: p.load.Report(from.Add(-before), to), view: p.Watch.View(from.Add(-before), to)}
	bad := s.verdict()
	p.total.add(e, s)
	p.tell(n, e, from, s, bad)
	if err != nil {
		return false, fmt.Errorf("%s: %w", p.describe(e), err)
	}
	return len(bad) == 0, nil
}

// act does what the episode says, and mends it. All is mended on return, even after an error.
func (p *player) act(ctx context.Context, e episode, from time.Time) error {
	type mending struct {
		at   time.Time
		mend func() error
	}
	var due []mending
	var errs []error
	// Two acts at most: the second begins before the first is mended.
	for _, a := range e.acts {
		sleep(ctx, time.Until(from.Add(a.at)))
		begun := time.Now()
		mend, err := a.kind.begin(ctx, &p.scene, p.Nodes[a.node], a.lasts)
		if err != nil {
			errs = append(errs, fmt.Errorf("begin: %s: %w", a.kind.name, err))
			continue
		}
		due = append(due, mending{begun.Add(a.lasts), mend})
	}
	if len(due) == 2 && due[1].at.Before(due[0].at) {
		due[0], due[1] = due[1], due[0]
	}
	for _, m := range due {
		sleep(ctx, time.Until(m.at))
		errs = append(errs, m.mend())
	}
	return errors.Join(errs...)
}

// recovered waits until one node holds and serves, and the other says that it is its standby.
func (p *player) recovered(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, recovery)
	defer cancel()
	if _, err := p.WaitLeader(ctx); err != nil {
		return fmt.Errorf("not within %v: %w", recovery, err)
	}
	if err := p.WaitServed(ctx, p.load, 300*msec); err != nil {
		return fmt.Errorf("not within %v: %w", recovery, err)
	}
	for {
		states := map[api.State]int{}
		for _, n := range p.Nodes {
			if st, err := api.Dial(n.Socket()).Status(ctx); err == nil && len(st.Peers) == 1 && st.Peers[0].HearsUs {
				states[st.State]++
			}
		}
		if states[api.Leader] == 1 && states[api.Standby] == 1 {
			return nil
		}
		select {
		case <-time.After(20 * msec):
		case <-ctx.Done():
			return fmt.Errorf("not within %v: a leader and a standby that know each other; there are %v", recovery, states)
		}
	}
}

func (p *player) describe(e episode) string {
	var parts []string
	for _, a := range e.acts {
		s := fmt.Sprintf("%s (%s, %v)", a.kind.name, p.Nodes[a.node].Name(), a.lasts.Round(msec))
		if a.at > 0 {
			s = fmt.Sprintf("after %v %s", a.at.Round(msec), s)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ") + "; led by " + p.leader.Name()
}

// tell prints one line, and what was wrong.
func (p *player) tell(n int, e episode, from time.Time, s sum, bad []string) {
	fmt.Fprintf(p.out, "%3d +%-4s %s: no answer for %v, %d failed, dual %v, well %v after the mending\n", n,
		from.Sub(p.began).Round(time.Second), p.describe(e), s.report.Blackout.Round(msec), s.report.Failed,
		s.view.Dual.Total.Round(msec), s.took.Round(msec))
	for _, b := range bad {
		fmt.Fprintf(p.out, "    VIOLATION at %s: %s\n    client: %s\n    observer: %s\n", from.Format("15:04:05.000"), b, s.report, s.view)
	}
}
