package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// run runs l until the returned function is called, which returns when Run has.
func run(t *testing.T, l *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func told(l *Log) (*Log, *bytes.Buffer) {
	var b bytes.Buffer
	l.log = hclog.New(&hclog.LoggerOptions{Output: &b})
	return l, &b
}

func TestEveryRecordIsALine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	l := New(Config{File: file}, hclog.NewNullLogger())
	stop := run(t, l)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				r := request()
				r.ID = fmt.Sprint(i, "-", j)
				l.Add(r)
			}
		})
	}
	wg.Wait()
	stop()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "10.0.0.5:51234 [") || !strings.HasSuffix(line, " in=12\n") || seen[line] {
			t.Fatalf("a torn or doubled line: %q", line)
		}
		seen[line] = true
	}
	if s := l.Stats(); len(seen) != 1600 || s != (Stats{Written: 1600}) {
		t.Errorf("%d lines, %+v; want 1600", len(seen), s)
	}
}

func TestAFullBufferDropsAndCounts(t *testing.T) {
	l := New(Config{File: "/nowhere", Buffer: 2000}, hclog.NewNullLogger())
	for range 100 {
		l.Add(request()) // nobody writes
	}
	if s := l.Stats(); s.Dropped < 80 || s.Dropped >= 100 || len(l.pending) > 2000 {
		t.Errorf("%+v with %d bytes waiting, want most of 100 dropped", s, len(l.pending))
	}
}

func TestAPipeThatNobodyReadsHoldsNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l := New(Config{File: file, Buffer: 256 << 10}, hclog.NewNullLogger())
	l.last = time.Millisecond
	stop := run(t, l)
	const n = 10000 // more than pipe and buffers hold
	for range n {
		l.Add(request())
	}
	stop()
	if s := l.Stats(); s.Dropped == 0 || s.Written+s.Dropped > n {
		t.Errorf("%+v of %d", s, n)
	}
}

func TestSampling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	l := New(Config{File: file, Sample: 10}, hclog.NewNullLogger())
	stop := run(t, l)
	for i := range 100 {
		r := request()
		switch i {
		case 33:
			r.Status, r.Reason = 503, "no backend is available"
		case 55:
			r.End, r.Reason = "CD", "client went away"
		}
		l.Add(r)
	}
	stop()
	b, _ := os.ReadFile(file)
	if n := strings.Count(string(b), " sample=10\n"); n != 10 {
		t.Errorf("%d of 98 in the sample, want 10", n)
	}
	if n := strings.Count(string(b), "\n"); n != 12 || !strings.Contains(string(b), "no backend is available") || !strings.Contains(string(b), "client went away") {
		t.Errorf("%d lines, want the sample and two that failed:\n%s", n, b)
	}
	if s := l.Stats(); s != (Stats{Written: 12, Sampled: 88}) {
		t.Errorf("%+v", s)
	}
}

func TestAFileThatWasMovedAwayIsMadeAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	l := New(Config{File: file}, hclog.NewNullLogger())
	w := &writer{path: file}
	defer w.close()
	step := func() {
		l.Add(request())
		l.look(w) // what Run does every second
		l.flush(w)
	}
	step()
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	step()
	step()
	os.Remove(file)
	step()
	old, _ := os.ReadFile(file + ".1")
	now, _ := os.ReadFile(file)
	if strings.Count(string(old), "\n") != 1 || strings.Count(string(now), "\n") != 1 {
		t.Errorf("%q was moved away, %q came after the second one was removed", old, now)
	}
}

func TestAFileThatCannotBeWrittenIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "access.log")
	l, log := told(New(Config{File: file}, nil))
	w := &writer{path: file}
	defer w.close()
	step := func() {
		l.Add(request())
		l.look(w)
		l.flush(w)
	}
	step()
	step()
	if s := l.Stats(); s.Dropped != 2 || strings.Count(log.String(), "[WARN]") != 1 {
		t.Errorf("%+v, told:\n%s", s, log)
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	step()
	if s := l.Stats(); s.Written != 1 || !strings.Contains(log.String(), "access log is written again") {
		t.Errorf("%+v, told:\n%s", s, log)
	}
}

func TestAFullDiskIsToldOnce(t *testing.T) {
	l, log := told(New(Config{File: "/dev/full"}, nil))
	w := &writer{path: "/dev/full"}
	defer w.close()
	for range 3 {
		l.Add(request())
		l.look(w)
		l.flush(w)
	}
	if s := l.Stats(); s.Dropped != 3 || strings.Count(log.String(), "[WARN]") != 1 || !strings.Contains(log.String(), "no space left") {
		t.Errorf("%+v, told:\n%s", s, log)
	}
}
