package election_test

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata with what happens now")

// TestStories plays testdata/*.txt. A line that begins with "> " is a command, "#" a comment; what is indented below a
// command is what follows from it. See testdata/README.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s went another way (-update rewrites it); now it goes:\n%s", file, got)
		})
	}
}

// play runs the commands of a story and returns the story as it goes.
func play(text string) (string, error) {
	var out strings.Builder
	s := &story{w: newWorld(rand.New(rand.NewPCG(1, 2))), out: &out}
	s.w.serves = 0
	s.w.say = func(format string, args ...any) {
		fmt.Fprintf(&out, "    %4d ms  %s\n", s.w.now-s.mark, fmt.Sprintf(format, args...))
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			s.mark = s.w.now
			if err := s.do(strings.Fields(strings.TrimPrefix(line, "> "))); err != nil {
				return "", fmt.Errorf("line %d: %q: %w", n, line, err)
			}
		case !strings.HasPrefix(line, "    "):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String(), lines.Err()
}

type story struct {
	w    *world
	out  *strings.Builder
	mark int // outputs count from here
}

// do runs one command. Its words are forgiving: and, of, the, to, from, at are skipped.
func (s *story) do(words []string) error {
	var f []string
	for _, w := range words {
		switch w {
		case "and", "of", "the", "to", "from", "at", "between", "pass", "passes", "ms":
		default:
			f = append(f, w)
		}
	}
	var nodes []*node
	for _, name := range f[1:] {
		for _, n := range s.w.nodes {
			if n.policy.Name == name {
				nodes = append(nodes, n)
			}
		}
	}
	each := func(do func(*node)) error {
		if len(nodes) == 0 {
			return fmt.Errorf("which node?")
		}
		for _, n := range nodes {
			do(n)
		}
		return nil
	}
	pair := func(do func(a, b int)) error {
		if len(nodes) != 2 {
			return fmt.Errorf("which two nodes?")
		}
		do(nodes[0].id, nodes[1].id)
		return nil
	}
	switch f[0] {
	case "node":
		return s.node(f[1:])
	case "wait":
		d, err := time.ParseDuration(f[1])
		for range ms(d) {
			s.w.step()
		}
		return err
	case "start":
		return each((*node).start)
	case "steady":
		return s.steady(each)
	case "kill":
		return each((*node).kill)
	case "stop":
		return each((*node).leave)
	case "power-off":
		return each((*node).off)
	case "power-on":
		return each(func(n *node) { n.power = true; n.start() })
	case "pause": // for good, until resume
		return each(func(n *node) { n.pause(1 << 20) })
	case "resume":
		return each(func(n *node) { n.p.paused = s.w.now })
	case "unplug":
		return each(func(n *node) { n.carrier = false; n.linkLost() })
	case "plug":
		return each(func(n *node) { n.carrier = true })
	case "silence": // the cable is cut further on: the carrier stays
		return each(func(n *node) { n.rx, n.tx = false, false })
	case "deafen":
		return each(func(n *node) { n.rx = false })
	case "mute":
		return each(func(n *node) { n.tx = false })
	case "repair":
		return each(func(n *node) { n.rx, n.tx = true, true })
	case "cut":
		return pair(func(a, b int) { s.w.frame[a][b], s.w.frame[b][a] = false, false })
	case "cut-one-way":
		return pair(func(a, b int) { s.w.frame[a][b] = false })
	case "filter":
		return pair(func(a, b int) { s.w.ip[a][b], s.w.ip[b][a] = false, false })
	case "filter-one-way":
		return pair(func(a, b int) { s.w.ip[a][b] = false })
	case "heal":
		return pair(func(a, b int) {
			s.w.frame[a][b], s.w.frame[b][a], s.w.ip[a][b], s.w.ip[b][a] = true, true, true, true
		})
	case "unfit":
		return each(func(n *node) { n.fit = false })
	case "fit":
		return each(func(n *node) { n.fit, n.rank, n.reach = true, 0, 0 })
	case "maintenance":
		return each(func(n *node) { n.maint = f[1] == "on" })
	case "worse": // unfit for a relative reason
		return each(func(n *node) { n.rank = 10 })
	case "lose-backends":
		return each(func(n *node) { n.reach = 100 })
	case "stranger":
		for _, n := range nodes {
			n.foreign = f[1] == "answers"
		}
		s.w.foreign = len(nodes) == 0 && f[1] == "answers"
		return nil
	case "clients":
		return each(func(n *node) { n.p.self.Served = true })
	case "handover":
		return pair(func(a, b int) { s.w.nodes[a].order(b) })
	case "lose-messages":
		s.w.mislaid = 1
		return nil
	case "who":
		s.who()
		return nil
	}
	return fmt.Errorf("no such command")
}

// steady starts nodes and lets two seconds pass, without telling how.
func (s *story) steady(each func(func(*node)) error) error {
	say := s.w.say
	s.w.say = nil
	err := each((*node).start)
	for range 2000 {
		s.w.step()
	}
	s.w.say = say
	s.who()
	return err
}

// node NAME [priority N] [preempt] [term N]
func (s *story) node(f []string) error {
	p := policy(f[0], 100)
	var term uint64
	for i := 1; i < len(f); i++ {
		switch f[i] {
		case "priority":
			i++
			fmt.Sscan(f[i], &p.Priority)
		case "term":
			i++
			fmt.Sscan(f[i], &term)
		case "preempt":
			p.Preempt = true
		default:
			return fmt.Errorf("%q?", f[i])
		}
	}
	w := s.w
	n := newWorld(w.rng, p).nodes[0]
	n.w, n.id = w, len(w.nodes)
	n.disk.term, n.disk.newest = term, term
	w.nodes = append(w.nodes, n)
	for i := range w.nodes {
		for j := range w.nodes {
			w.frame[i][j], w.ip[i][j] = true, true
		}
	}
	return nil
}

func (s *story) who() {
	var names []string
	for _, n := range s.w.nodes {
		if n.open() {
			names = append(names, n.policy.Name)
		}
	}
	if len(names) == 0 {
		names = []string{"nobody"}
	}
	fmt.Fprintf(s.out, "    = %s\n", strings.Join(names, " and "))
}

func policy(name string, priority int) election.Policy {
	return election.Policy{
		Name: name, Priority: priority, PreemptDelay: 500 * time.Millisecond, Failover: 200 * time.Millisecond,
		Settle: time.Second, Stagger: 50 * time.Millisecond, Handover: 50 * time.Millisecond, ForeignWait: 2500 * time.Millisecond,
	}
}

// linkLost is what the kernel tells at once: the gate is shut before the election knows.
func (n *node) linkLost() {
	if n.live() {
		n.p.dirty = true
	}
}
