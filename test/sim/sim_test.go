package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed only, with the whole story in the log")
	seedsFlag = flag.Uint64("seeds", 0, "how many seeds for each test; zero: 400, or 6 with -short")
	firstFlag = flag.Uint64("first", 1, "the first of these seeds")
	onlyFlag  = flag.String("only", "", "faults whose names contain this")
)

// TestPairs runs pairs through faults, one after the other, and judges every instant.
func TestPairs(t *testing.T) {
	runSeeds(t, setup{nodes: 2}, func(w *world) { w.stories(3) })
}

// TestTriples does the same with three nodes.
func TestTriples(t *testing.T) {
	runSeeds(t, setup{nodes: 3}, func(w *world) { w.stories(2) })
}

// TestStorms lets faults overlap, and wants all to be well again soon after the last has gone.
func TestStorms(t *testing.T) {
	runSeeds(t, setup{nodes: 2}, func(w *world) { w.storms() })
}

// TestQuorum runs two nodes and a witness through faults, and TestQuorumStorms lets them overlap: never, not for a nanosecond, may two answer.
func TestQuorum(t *testing.T) {
	runSeeds(t, setup{nodes: 3, quorum: true}, func(w *world) { w.stories(2) })
}

// TestQuorumStorms is told at TestQuorum.
func TestQuorumStorms(t *testing.T) {
	runSeeds(t, setup{nodes: 3, quorum: true}, func(w *world) { w.storms() })
}

func (w *world) storms() {
	w.begin()
	w.storm(25)
	time.Sleep(afterStorm)
	w.check("a storm", limits{gap: always, dual: always, moves: 1000}) // all is well again
	time.Sleep(afterProbes)
	w.judge.turn()
	time.Sleep(time.Second)
	l := limits{gap: instant}
	if w.seg.noise.loss > 0 { // probes of backends may be among what is lost
		l.moves = 1
	}
	w.check("the time after a storm", l)
}

// afterStorm is how long it may take until all is well again: a daemon that was told to stop in the storm may have to drain first, memberlist to forget.
const afterStorm = 5 * time.Second

// afterProbes is how long the VIP may still move, once, to the node that reaches more backends: probes must rise, and that must last.
const afterProbes = 12 * time.Second

// runSeeds runs story in a world of its own for each seed.
func runSeeds(t *testing.T, nodes setup, story func(*world)) {
	if *seedFlag != 0 {
		runSeed(t, *seedFlag, nodes, hclog.Debug, story)
		return
	}
	n := *seedsFlag
	switch {
	case n != 0:
	case testing.Short():
		n = 6
	default:
		n = 400
	}
	var next atomic.Uint64
	next.Store(*firstFlag - 1)
	n += *firstFlag - 1
	var failed atomic.Int32
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprintf("worker=%d", i), func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1); seed <= n && failed.Load() < 5; seed = next.Add(1) {
				if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runSeed(t, seed, nodes, hclog.Info, story) }) {
					failed.Add(1)
				}
			}
		})
	}
}

func runSeed(t *testing.T, seed uint64, nodes setup, level hclog.Level, story func(*world)) {
	dir := tempDir(t)
	var log buffer
	defer func() { // synctest.Test does not return after a failure
		if t.Failed() || *seedFlag != 0 {
			t.Logf("seed %d (again: go test ./test/sim -run '%s' -seed %d)\n%s", seed, strings.SplitN(t.Name(), "/", 2)[0], seed, log.String())
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, nodes, dir, &log, level)
		defer w.end()
		story(w)
	})
}

// tempDir is in memory where it can be: daemons wait for the disk when they keep their terms.
func tempDir(t *testing.T) string {
	if dir, err := os.MkdirTemp("/dev/shm", "tandem-sim"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return filepath.Clean(t.TempDir())
}

// stories lets so many faults happen, and checks what each costs.
func (w *world) stories(n int) {
	w.begin()
	var all []fault
	for _, f := range faults() {
		if strings.Contains(f.name, *onlyFlag) {
			all = append(all, f)
		}
	}
	for range n {
		if w.t.Failed() {
			return
		}
		f := all[w.dice.IntN(len(all))]
		w.trace("FAULT: %s", f.name)
		l := f.happen(w)
		time.Sleep(rest)
		w.check(f.name, l)
		time.Sleep(w.between(0, 2*time.Second))
		w.judge.turn()
	}
}

// begin starts everybody.
func (w *world) begin() {
	w.judge.start()
	for _, n := range w.all {
		n.start()
	}
	for _, c := range w.clients {
		c.run()
	}
	time.Sleep(rest)
	w.check("start", limits{gap: rest, dual: instant})
}

// check compares what was seen with what may be.
func (w *world) check(what string, l limits) {
	w.t.Helper()
	r := w.judge.turn()
	if w.seg.noise.loss > 0 {
		l = l.noisy()
	}
	if w.quorum {
		l = l.voted()
	}
	fail := func(format string, args ...any) {
		w.t.Errorf("%s: %s", what, fmt.Sprintf(format, args...))
		w.trace("FAILED: %s: %s", what, fmt.Sprintf(format, args...))
	}
	if err := w.judge.settled(); err != nil {
		fail("not well again after %v: %v", rest, err)
	}
	for i, c := range w.clients {
		most := l.gap
		if c.forgets && l.fresh != 0 {
			most = l.fresh
		}
		if r.gaps[i] > most {
			fail("%s was not served for %v, allowed are %v", c.station.name, r.gaps[i], most)
		}
	}
	if r.dual > l.dual {
		fail("two answered for %v, allowed are %v", r.dual, l.dual)
	}
	if r.moves > l.moves || l.must && r.moves == 0 {
		fail("the VIP moved %d times, allowed are %d", r.moves, l.moves)
	}
	w.trace("%s: longest without service %v, two answered for %v, moves %d", what, r.gaps, r.dual, r.moves)
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
