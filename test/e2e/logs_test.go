package e2e

import (
	"os"
	"slices"
	"strings"

	"github.com/tandem-lb/tandem/test/lab"
)

// tail is how many lines of each log a test that failed shows.
const tail = 60

func logSize(n *lab.Node) int64 {
	info, err := os.Stat(n.LogPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// lines are what the node logged since the story began, without what it says of each request.
func (s *scene) lines(n *lab.Node) []string {
	b, err := os.ReadFile(n.LogPath())
	if err != nil {
		return []string{err.Error()}
	}
	b = b[min(s.logs[n], int64(len(b))):]
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(line string) bool {
		return strings.Contains(line, ": request ended:")
	})
}

// said says whether a line of the log contains all words.
func (s *scene) said(n *lab.Node, words ...string) bool {
	return slices.ContainsFunc(s.lines(n), func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	})
}

// says asserts that a line of the node's log, since the story began, contains all words; it may be a moment late.
func (s *scene) says(n *lab.Node, words ...string) {
	s.t.Helper()
	for range 50 {
		if s.said(n, words...) {
			return
		}
		s.pass(lab.Patience / 10)
	}
	s.t.Errorf("the log of %s has no line with %q", n.Name(), words)
}

// silent asserts that no line of the node's log contains all words.
func (s *scene) silent(n *lab.Node, words ...string) {
	s.t.Helper()
	if s.said(n, words...) {
		s.t.Errorf("the log of %s has a line with %q", n.Name(), words)
	}
}

// tell shows what was seen and logged, if the test failed.
func (s *scene) tell() {
	if !s.t.Failed() {
		return
	}
	for _, n := range s.Nodes {
		lines := s.lines(n)
		s.t.Logf("log of %s since the story began, at most the last %d lines:\n%s", n.Name(), tail, strings.Join(lines[max(0, len(lines)-tail):], "\n"))
	}
}

// sound asserts that no process that ran on a node panicked or raced; no busy machine excuses that.
func (s *scene) sound() {
	for _, n := range s.Nodes {
		b, err := os.ReadFile(n.LogPath())
		if err != nil {
			continue // it was never started
		}
		for _, word := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := strings.Index(string(b), word); i >= 0 {
				s.t.T.Errorf("%s in the log of %s:\n%.4000s", word, n.Name(), b[i:])
			}
		}
	}
}
