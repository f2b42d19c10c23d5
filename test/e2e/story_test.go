package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

const (
	// tries is how often a story is told at most.
	tries = 3
	// starving is how long the threads of a node may wait for a CPU, in sum and per second, before a story counts as disturbed. With two
	// cores shared by compilers it was 300 to 1300 ms, and most stories held all the same.
	starving = 300 * time.Millisecond
)

// story tells a story. One that fails while others kept the nodes from running, as the kernel measured, is told again: a node that gets no
// CPU for longer than the others' patience is rightly replaced, and that is another story.
func story(t *testing.T, tell func(*try)) {
	t.Helper()
	for n := 1; ; n++ {
		a := &try{T: t}
		a.play(tell)
		switch {
		case t.Failed() || t.Skipped() || !a.failed:
			return
		case a.starved < starving || n == tries:
			t.Fail()
			return
		}
		t.Logf("told again: a node waited %v a second for a CPU", a.starved.Round(time.Millisecond))
	}
}

// try is one telling of a story: what fails in it fails the test only when it is not told again.
type try struct {
	*testing.T
	failed   bool
	starved  time.Duration // the longest that a node waited for a CPU, per second
	cleanups []func()
}

// play tells the story on a goroutine of its own, which a fatal failure ends, and cleans up.
func (a *try) play(tell func(*try)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(a.cleanups) - 1; i >= 0; i-- {
				a.cleanups[i]()
			}
		}()
		tell(a)
	}()
	<-done
}

func (a *try) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }

func (a *try) Failed() bool { return a.failed || a.T.Failed() }

func (a *try) Errorf(format string, args ...any) {
	a.Helper()
	a.failed = true
	a.Logf(format, args...)
}

func (a *try) Error(args ...any) {
	a.Helper()
	a.failed = true
	a.Log(args...)
}

func (a *try) Fatalf(format string, args ...any) {
	a.Helper()
	a.Errorf(format, args...)
	runtime.Goexit()
}

func (a *try) Fatal(args ...any) {
	a.Helper()
	a.Error(args...)
	runtime.Goexit()
}

// waited is how long the threads of a host's processes were ready to run and did not, in sum.
func waited(h *lab.Host) (sum time.Duration) {
	for _, pid := range h.Pids() {
		files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat")
		if err != nil {
			continue
		}
		for _, file := range files {
			b, err := os.ReadFile(file) // a kernel without it measures nothing, and no story is told again
			if fields := strings.Fields(string(b)); err == nil && len(fields) == 3 {
				ns, _ := strconv.ParseInt(fields[1], 10, 64)
				sum += time.Duration(ns)
			}
		}
	}
	return sum
}

// measure finds out how much the nodes waited for a CPU since they were built.
func (s *scene) measure() {
	for _, n := range s.Nodes {
		w := time.Duration(float64(waited(n.Host)) / time.Since(s.built).Seconds())
		s.t.starved = max(s.t.starved, w)
	}
	s.t.Logf("a node waited %v a second for a CPU", s.t.starved.Round(time.Millisecond/10))
}
