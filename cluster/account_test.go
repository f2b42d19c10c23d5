package cluster

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/journal"
)

var update = flag.Bool("update", false, "rewrite the golden lines; read the difference before you commit it")

// log keeps the lines of a node's log. Two goroutines of a node may write.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func logTo(l *log) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: l, DisableTime: true})
}

// lines are those that contain one of words.
func (l *log) lines(words ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		for _, w := range words {
			if strings.Contains(line, w) {
				out = append(out, line)
				break
			}
		}
	}
	return out
}

// entries is a journal that keeps all.
type entries struct {
	mu   sync.Mutex // guards list
	list []journal.Entry
}

func (j *entries) Record(e journal.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, e)
}

func (j *entries) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.list)
}

// watchedPair is a pair whose logs and journals are kept.
func watchedPair(t *testing.T, f func(w *world, logs map[string]*log, journals map[string]*entries)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "lb1", "lb2")
		logs, journals := map[string]*log{}, map[string]*entries{}
		for name, h := range w.hosts {
			logs[name], journals[name] = &log{}, &entries{}
			h.log = logTo(logs[name])
			h.journal = journals[name]
			h.facts.Took = Took{Add: 600 * time.Microsecond, Gate: 100 * time.Microsecond, Announce: 200 * time.Microsecond}
		}
		w.start("lb1")
		w.run(10 * time.Millisecond)
		w.start("lb2")
		w.run(3 * time.Second)
		wantHolder(t, w, "lb1")
		f(w, logs, journals)
		w.stop()
		time.Sleep(time.Second)
	})
}

// golden holds lines against testdata/NAME.txt.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := strings.Join(lines, "")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // a golden file
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", path, got, want)
	}
}

// moved is what the line after a move is found by.
var moved = []string{"took over", "holds the VIP", "hold the VIP"}

func TestTheLineAfterAMoveTellsAStrangerWhatHappened(t *testing.T) {
	both := func(w *world, cut bool, what map[[2]string]bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		what[[2]string{"lb1", "lb2"}], what[[2]string{"lb2", "lb1"}] = cut, cut
	}
	for _, c := range []struct {
		name  string
		fault func(w *world)
		node  string // whose log
		rough bool   // whether a beat was seen in between depends on who runs first: without the figures
	}{
		{"first", func(*world) {}, "lb1", false},
		{"crash", func(w *world) { w.kill("lb1"); w.run(time.Second) }, "lb2", false},
		{"hang", func(w *world) {
			w.mu.Lock()
			lb1 := w.hosts["lb1"]
			lb1.hung = true
			w.cut[[2]string{"lb1", "lb2"}] = false
			w.mu.Unlock()
			w.run(time.Second)
			w.mu.Lock()
			lb1.hung = false
			lb1.facts.Holds = false // what happens to it afterwards is another story
			lb1.wish = Wish{}
			w.mu.Unlock()
		}, "lb2", false},
		{"plug", func(w *world) {
			both(w, true, w.cut)
			w.mu.Lock()
			w.hosts["lb1"].facts.LinkUp, w.hosts["lb1"].facts.LinkWhy = false, "no carrier"
			w.mu.Unlock()
			w.run(time.Second)
		}, "lb2", false},
		{"link-down-told", func(w *world) {
			w.mu.Lock()
			w.hosts["lb1"].facts.LinkUp, w.hosts["lb1"].facts.LinkWhy = false, "no own address"
			poke(w.hosts["lb1"].viped)
			w.mu.Unlock()
			w.run(time.Second)
		}, "lb2", true},
		{"handover", func(w *world) { w.hosts["lb1"].cancel(); w.run(time.Second) }, "lb2", false},
		{"less-fit", func(w *world) {
			w.mu.Lock()
			w.hosts["lb1"].rank = 10
			w.mu.Unlock()
			w.run(time.Second)
		}, "lb2", false},
		{"meeting-winner", func(w *world) {
			both(w, true, w.cut)
			w.run(2 * time.Second)
			w.mu.Lock()
			delete(w.cut, [2]string{"lb1", "lb2"}) // a beat of the loser comes first
			w.mu.Unlock()
			w.run(12 * time.Millisecond)
			both(w, false, w.cut)
			w.run(time.Second)
		}, "lb2", false},
		{"meeting-loser", func(w *world) {
			both(w, true, w.cut)
			w.run(2 * time.Second)
			both(w, false, w.cut)
			w.run(time.Second)
		}, "lb1", false},
		{"nobody", func(w *world) {
			w.mu.Lock()
			for _, h := range w.hosts {
				h.facts.LinkUp, h.facts.LinkWhy = false, "no carrier"
				poke(h.viped)
			}
			w.mu.Unlock()
			w.run(3 * time.Second)
			w.mu.Lock()
			lb2 := w.hosts["lb2"]
			lb2.facts.LinkUp, lb2.facts.LinkWhy = true, ""
			poke(lb2.viped)
			w.mu.Unlock()
			w.run(time.Second)
		}, "lb2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			watchedPair(t, func(w *world, logs map[string]*log, _ map[string]*entries) {
				w.run(3 * time.Millisecond) // between two beats
				c.fault(w)
				lines := logs[c.node].lines(moved...)
				for i := range lines {
					if story, _, ok := strings.Cut(lines[i], " steps="); ok && c.rough {
						lines[i] = story + "\n"
					}
				}
				golden(t, "move-"+c.name, lines)
			})
		})
	}
}

func TestTheAccountAgreesWithWhoAnswered(t *testing.T) {
	watchedPair(t, func(w *world, _ map[string]*log, _ map[string]*entries) {
		before := w.dual
		w.kill("lb1")
		w.run(time.Second)
		ms := w.hosts["lb2"].node.Status().Failover
		if len(ms) != 1 {
			t.Fatalf("%d moves, want one: %+v", len(ms), ms)
		}
		m, dual := ms[0], w.dual-before
		const step = 12 * time.Millisecond // a beat, and the world's own step
		if dual > m.Dual.Max || dual < m.Dual.Max-step {
			t.Errorf("dual=%v, and two answered for %v", m.Dual, dual)
		}
		if w.nobody > m.Nobody.Max {
			t.Errorf("nobody=%v, and nobody answered for %v", m.Nobody, w.nobody)
		}
	})
}
