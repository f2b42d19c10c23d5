package election_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

var (
	schedules = flag.Int("schedules", 50_000, "how many schedules the model plays")
	seed      = flag.Uint64("seed", 1, "of the first schedule; the next one has the next seed")
	only      = flag.String("only", "", "play only the experiments whose name contains this")
	invariant = flag.String("invariant", "", "count only the failures whose text contains this")
)

// TestModel plays random schedules: half of them one fault in a steady pair, with exact bounds, the others storms of faults, with
// the invariants of the monitor. A schedule that fails is played again and told.
func TestModel(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 1000)
	}
	t.Logf("%d schedules from -seed=%d", n, *seed)
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var next atomic.Uint64
	var mu sync.Mutex // guards failures and sum
	var failures []uint64
	sum := tally{}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			own := tally{}
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) {
					break
				}
				r := playSchedule(*seed+i, nil)
				own.add(r)
				if r.w.failed != "" {
					mu.Lock()
					failures = append(failures, *seed+i)
					mu.Unlock()
					next.Store(uint64(n))
				}
			}
			mu.Lock()
			sum.join(own)
			mu.Unlock()
		})
	}
	workers.Wait()
	slices.Sort(failures)
	for _, s := range failures[:min(len(failures), 1)] {
		var trace []string
		r := playSchedule(s, &trace)
		trace = trace[max(0, len(trace)-80):]
		t.Errorf("seed %d, %s: %s\nagain: go test ./cluster/election -run Model -schedules=1 -seed=%d\n%s", s, r.name, r.w.failed, s, strings.Join(trace, "\n"))
	}
	t.Log(sum.String())
	if len(failures) == 0 && n >= 2000 && *only == "" {
		sum.check(t, n)
	}
}

// run is one schedule being played.
type run struct {
	w    *world
	m    *monitor
	name string
	met  tally
}

// tally counts schedules by what happened in them.
type tally map[string]int

func (t tally) add(r *run) {
	t["schedules"]++
	for k := range r.met {
		t[k]++
	}
	if r.m.duals > 0 {
		t["two holders"]++
	}
	if r.m.met {
		t["meeting of two"]++
	}
	if r.m.oneway {
		t["one-way loss"]++
	}
	if r.w.mirrors {
		t["mirrors"]++
	}
}

func (t tally) join(u tally) {
	for k, n := range u {
		t[k] += n
	}
}

func (t tally) String() string {
	var b strings.Builder
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, "\n%8d  %5.1f %%  %s", t[k], 100*float64(t[k])/float64(t["schedules"]), k)
	}
	return b.String()
}

func (t tally) check(tb testing.TB, n int) {
	for _, k := range []string{"two holders", "meeting of two", "one-way loss", "mirrors", "preempt", "reboot", "pause"} {
		if t[k]*100 < n {
			tb.Errorf("only %d of %d schedules met %q, want 1 %%: the model has gone blind", t[k], n, k)
		}
	}
}

func playSchedule(seed uint64, trace *[]string) *run {
	rng := rand.New(rand.NewPCG(seed, seed^0x7a4de))
	r := &run{met: tally{}}
	nodes := 2
	if rng.IntN(5) == 0 {
		nodes = 3
	}
	policies := make([]election.Policy, nodes)
	for i := range policies {
		policies[i] = policy(fmt.Sprintf("lb%d", i+1), 100+10*rng.IntN(2))
	}
	stagger := []time.Duration{50, 200}[rng.IntN(2)] * time.Millisecond
	for i := range policies {
		policies[i].Stagger = stagger
	}
	r.w = newWorld(rng, policies...)
	r.w.keepsOne = rng.IntN(2) == 0
	if mode := rng.IntN(3); mode > 0 {
		r.w.mirrors, r.w.blurred = true, []float64{0, 0.2}[mode-1]
	}
	if trace != nil {
		r.w.say = func(format string, args ...any) {
			*trace = append(*trace, fmt.Sprintf("%6d ms  ", r.w.now)+fmt.Sprintf(format, args...))
		}
	}
	r.m = watch(r.w)
	e := choose(rng)
	r.name = e.name
	e.play(r)
	return r
}

// choose returns a storm every other time, unless -only says what is played.
func choose(rng *rand.Rand) experiment {
	all := experiments
	if *only != "" {
		all = slices.DeleteFunc(append(slices.Clone(experiments), experiment{"storm", storm}), func(e experiment) bool { return !strings.Contains(e.name, *only) })
	} else if rng.IntN(2) == 0 {
		return experiment{"storm", storm}
	}
	return all[rng.IntN(len(all))]
}

// wait lets time pass.
func (r *run) wait(ms int) {
	for range ms {
		if r.w.failed != "" {
			return
		}
		r.w.step()
		r.m.look()
	}
}

func (r *run) until(limit int, cond func() bool) bool {
	for range limit {
		if cond() {
			return true
		}
		r.wait(1)
	}
	return cond()
}

// do changes the world.
func (r *run) do(what string, f func()) {
	r.w.sayf("-- %s", what)
	r.m.changed = r.w.now
	f()
}

// steady starts all nodes and waits until one leads. It returns the leader and the others, the best of them first.
func (r *run) steady() (*node, []*node) {
	for _, n := range r.w.nodes {
		r.do("start "+n.policy.Name, n.start)
		r.wait(r.w.rng.IntN(300))
	}
	r.wait(1600 + 2*ms(r.w.nodes[0].policy.Stagger) + r.w.rng.IntN(50))
	l := r.leader()
	if l == nil {
		if r.w.failed == "" {
			r.w.failf("no single leader after the start: %d open", r.open())
		}
		return r.w.nodes[0], r.w.nodes[1:]
	}
	var rest []*node
	for _, n := range r.w.nodes {
		if n != l {
			rest = append(rest, n)
		}
	}
	last := func(n *node) int { // it claimed the newest term too
		if n.p != nil && n.p.self.Term == l.p.self.Newest {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(rest, func(a, b *node) int { return cmp.Or(last(b)-last(a), b.policy.Priority-a.policy.Priority) })
	r.m.gap, r.m.duals, r.m.overlap, r.m.moves = 0, 0, 0, 0
	return l, rest
}

// leader is the only live holder, or nil.
func (r *run) leader() *node {
	var l *node
	for _, n := range r.w.nodes {
		if n.open() && n.p != nil {
			if l != nil {
				return nil
			}
			l = n
		}
	}
	return l
}

func (r *run) open() int {
	c := 0
	for _, n := range r.w.nodes {
		if n.open() && n.p != nil {
			c++
		}
	}
	return c
}

// leads checks that n, and nobody else, holds now.
func (r *run) leads(n *node, when string) {
	if r.w.failed == "" && r.leader() != n {
		who := "nobody, or more than one"
		if l := r.leader(); l != nil {
			who = l.policy.Name
		}
		r.w.failf("%s: %s leads, want %s", when, who, n.policy.Name)
	}
}

func (r *run) nodual(when string) {
	if r.m.duals > 0 {
		r.w.failf("%s: two held for %d ms, want 0", when, r.m.duals)
	}
}

func (r *run) gapAtMost(ms int, when string) {
	if r.m.gap > ms {
		r.w.failf("%s: nobody held for %d ms, want at most %d", when, r.m.gap, ms)
	}
}

func (r *run) movedAtMost(n int, when string) {
	if r.m.moves > n {
		r.w.failf("%s: %d claims, want at most %d", when, r.m.moves, n)
	}
}
