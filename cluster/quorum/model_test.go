package quorum_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	schedules = flag.Int("schedules", 50_000, "how many schedules the model plays")
	seed      = flag.Uint64("seed", 1, "of the first schedule; the next one has the next seed")
	only      = flag.String("only", "", "play only the experiments whose name contains this")
	invariant = flag.String("invariant", "", "count only the failures whose text contains this")
)

// TestModel plays random schedules. At every instant of each at most one gate is open; and where a majority can talk, one is, soon.
func TestModel(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 500)
	}
	t.Logf("%d schedules from -seed=%d", n, *seed)
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var next atomic.Uint64
	var mu sync.Mutex // guards failures and met
	var failures []uint64
	met := map[string]int{}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) {
					return
				}
				r := play(*seed+i, nil)
				mu.Lock()
				met[r.name]++
				for k := range r.met {
					met[k]++
				}
				if r.failed != "" && strings.Contains(r.failed, *invariant) {
					failures = append(failures, *seed+i)
					next.Store(uint64(n))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	slices.Sort(failures)
	for _, s := range failures[:min(len(failures), 1)] {
		var trace []string
		r := play(s, &trace)
		trace = trace[max(0, len(trace)-60):]
		t.Errorf("seed %d, %s: %s\nagain: go test ./cluster/quorum -run Model -schedules=1 -seed=%d\n%s", s, r.name, r.failed, s, strings.Join(trace, "\n"))
	}
	var sum []string
	for _, k := range slices.Sorted(maps.Keys(met)) {
		sum = append(sum, fmt.Sprintf("%s: %d", k, met[k]))
	}
	t.Log(strings.Join(sum, ", "))
	if len(failures) > 0 || n < 500 || *only != "" {
		return
	}
	for _, e := range experiments {
		if met[e.name] == 0 {
			t.Errorf("no schedule of the kind %q", e.name)
		}
	}
	for _, k := range []string{"a claim while the old leader stood still", "handover", "a thread held up", "lost its votes"} {
		if met[k] == 0 {
			t.Errorf("in no schedule: %s", k)
		}
	}
}

// schedule is one that is played.
type schedule struct {
	*world
	name string
}

type experiment struct {
	name string
	play func(*schedule)
}

func play(seed uint64, trace *[]string) *schedule {
	rng := rand.New(rand.NewPCG(seed, 7))
	sizes := [][2]int{{2, 1}, {3, 0}, {3, 0}, {4, 1}, {5, 0}, {4, 0}}
	size := sizes[rng.IntN(len(sizes))]
	s := &schedule{world: newWorld(rng, size[0], size[1])}
	if trace != nil {
		s.say = func(format string, args ...any) { *trace = append(*trace, fmt.Sprintf(format, args...)) }
	}
	all := experiments
	if *only != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(e experiment) bool { return !strings.Contains(e.name, *only) })
	}
	e := all[rng.IntN(len(all))]
	s.name = e.name
	e.play(s)
	return s
}

// holders are the nodes whose gate is open.
func (s *schedule) holders() []*node {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return !n.open() })
}

// steady starts all nodes and returns the leader.
func (s *schedule) steady() *node {
	for _, n := range s.nodes {
		s.after(s.within(50*time.Millisecond), n.start)
	}
	s.run(settle + 600*time.Millisecond)
	h := s.holders()
	if len(h) != 1 {
		s.failf("nobody holds after the start")
		return s.nodes[0]
	}
	return h[0]
}

func (s *schedule) cutOff(n *node, cut bool) {
	for _, m := range s.nodes {
		if m != n {
			s.cut[n.id][m.id], s.cut[m.id][n.id] = cut, cut
		}
	}
}

// calm lets those of a group talk, starts what is dead among them, and checks that one of them holds soon.
func (s *schedule) calm(group []*node, what string) {
	s.sayf("-- calm: %s", what)
	s.loss, s.twice, s.late, s.stall = 0, 0, 0, 0
	for _, n := range s.nodes {
		n.trap = 0
	}
	for _, n := range group {
		for _, m := range group {
			s.cut[n.id][m.id] = false
		}
		s.stalls = max(s.stalls, n.paused) // its threads wait for that moment already
		n.fit, n.power = true, true
		if n.p != nil && (n.p.set != n.set() || n.p.self.Leaving) {
			n.kill()
		}
		n.start()
	}
	// What is still on its way, and turns that are held up, from before.
	s.run(max(settle+s.lateBy, s.stalls-s.now))
	until := s.now + time.Second
	for s.failed == "" && s.now < until && len(s.serving(group)) != 1 {
		s.run(5 * time.Millisecond)
	}
	h := s.serving(group)
	if len(h) != 1 {
		s.failf("nobody holds a second after %s", what)
		return
	}
	s.run(150 * time.Millisecond)
	if now := s.serving(group); len(now) != 1 {
		s.failf("nobody holds any more after %s", what)
	}
}

// serving are those of a group whose gate is open, with a process that knows.
func (s *schedule) serving(group []*node) []*node {
	return slices.DeleteFunc(slices.Clone(group), func(n *node) bool { return !n.open() || n.p == nil || n.p.mode != 'o' })
}
