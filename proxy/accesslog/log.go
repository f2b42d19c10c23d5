package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Config says where the log goes. The zero value is no log.
type Config struct {
	File   string // appended to; opened anew when it was moved away
	Format Format // zero: Text
	Buffer int    // bytes that may wait to be written; zero: 1 MiB
	// Sample writes one of so many records; 0 and 1 mean all. Those that have Failed are always written.
	Sample int
}

const (
	defaultBuffer = 1 << 20
	// gather is how long lines are gathered before they are written together: one system call for all of them.
	gather = 20 * time.Millisecond
	// look is how often the file is looked after: was it moved away, can it be opened now?
	look = time.Second
	// tell is how often lines that were dropped are told.
	tell = time.Minute
	// lastWrite bounds the last writing, for a pipe that nobody reads.
	lastWrite = time.Second
	maxLine   = 64 << 10
)

// Stats counts records since the start.
type Stats struct{ Written, Dropped, Sampled uint64 }

// Log takes records and writes them to a file. Add may be called from any goroutine; it never waits for the file: what finds
// no room in the buffer is dropped and counted.
type Log struct {
	cfg    Config
	log    hclog.Logger
	wake   chan struct{}
	lines  sync.Pool     // of *[]byte
	last   time.Duration // bounds the last writing
	seen   atomic.Uint64
	counts struct{ written, dropped, sampled atomic.Uint64 }

	mu      sync.Mutex // guards what follows; held for no longer than a line is copied
	pending []byte
	spare   []byte
}

// New returns a log for cfg, whose File is not empty. Nothing is written before Run.
func New(cfg Config, log hclog.Logger) *Log {
	if cfg.Buffer == 0 {
		cfg.Buffer = defaultBuffer
	}
	l := &Log{cfg: cfg, log: log, wake: make(chan struct{}, 1), last: lastWrite}
	l.lines.New = func() any { return new([]byte) }
	return l
}

// Stats returns what was counted.
func (l *Log) Stats() Stats {
	return Stats{Written: l.counts.written.Load(), Dropped: l.counts.dropped.Load(), Sampled: l.counts.sampled.Load()}
}

// Add takes r, which the caller may use again at once.
func (l *Log) Add(r *Record) {
	if n := uint64(max(l.cfg.Sample, 1)); n > 1 && !r.Failed() {
		if l.seen.Add(1)%n != 1 {
			l.counts.sampled.Add(1)
			return
		}
		r.Sample = int(n)
	}
	p := l.lines.Get().(*[]byte)
	line := l.cfg.Format.Append((*p)[:0], r)
	fits := l.put(line)
	if !fits {
		l.counts.dropped.Add(1)
	}
	if cap(line) <= maxLine {
		*p = line
		l.lines.Put(p)
	}
	if fits {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// put copies a line to those that wait, and reports whether there was room.
func (l *Log) put(line []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending)+len(line) > l.cfg.Buffer {
		return false
	}
	l.pending = append(l.pending, line...)
	return true
}

// take returns the lines that wait; give returns its memory.
func (l *Log) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.pending
	l.pending, l.spare = l.spare[:0], nil
	return lines
}

func (l *Log) give(lines []byte) {
	l.mu.Lock()
	l.spare = lines[:0]
	l.mu.Unlock()
}

// Run writes until ctx is done, and then what is left, if that takes no longer than a second.
func (l *Log) Run(ctx context.Context) error {
	w := &writer{path: l.cfg.File}
	defer w.close()
	tick := time.NewTicker(look)
	defer tick.Stop()
	told, toldAt := uint64(0), time.Now()
	stop := context.AfterFunc(ctx, func() { w.hurry(time.Now().Add(l.last)) })
	defer stop()
	l.look(w)
	for {
		select {
		case <-ctx.Done():
			l.flush(w)
			return nil
		case <-l.wake:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
			l.flush(w)
		case now := <-tick.C:
			l.look(w)
			if n := l.counts.dropped.Load(); n > told && now.Sub(toldAt) >= tell {
				l.log.Warn("access log lines dropped", "lines", n-told, "file", l.cfg.File)
				told, toldAt = n, now
			}
		}
	}
}

// look opens the file if it is not open, or is another one by now.
func (l *Log) look(w *writer) {
	was := w.err
	if w.look(); w.err != nil && (was == nil || was.Error() != w.err.Error()) {
		l.log.Warn("access log cannot be written, lines are dropped", "err", w.err)
	} else if was != nil && w.err == nil {
		l.log.Info("access log is written again", "file", l.cfg.File)
	}
}

// flush writes what waits.
func (l *Log) flush(w *writer) {
	lines := l.take()
	if len(lines) == 0 {
		l.give(lines)
		return
	}
	n := uint64(bytes.Count(lines, []byte{'\n'}))
	had := w.err
	switch err := w.write(lines); {
	case err == nil:
		l.counts.written.Add(n)
		if had != nil {
			l.log.Info("access log is written again", "file", l.cfg.File)
		}
	case had == nil:
		l.log.Warn("access log cannot be written, lines are dropped", "err", err)
		l.counts.dropped.Add(n)
	default:
		l.counts.dropped.Add(n)
	}
	l.give(lines)
}

// writer is the file. Its methods but hurry are called by one goroutine.
type writer struct {
	path string
	err  error // why nothing can be written
	torn bool  // the last line is not whole

	mu    sync.Mutex // guards what follows
	f     *os.File
	until time.Time // when writing has to end; zero: it need not
}

// look opens the file unless it is open, and is still the one at its path.
func (w *writer) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		mine, err := w.f.Stat()
		there, err2 := os.Stat(w.path)
		if errors.Join(err, err2) == nil && os.SameFile(mine, there) {
			return
		}
		w.f.Close() //nolint:errcheck // it was moved away, with all that was written
		w.f = nil
	}
	// Without O_NONBLOCK a pipe that nobody reads would hold us for ever.
	w.f, w.err = os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if w.err == nil && !w.until.IsZero() {
		_ = w.f.SetWriteDeadline(w.until) // files have none
	}
}

func (w *writer) write(b []byte) error {
	if w.f == nil {
		w.look()
	}
	if w.err != nil && w.f == nil {
		return w.err
	}
	if w.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := w.f.Write(b)
	switch {
	case err == nil:
		w.torn, w.err = false, nil
	case n > 0:
		w.torn = b[n-1] != '\n'
		fallthrough
	default:
		w.err = fmt.Errorf("%s: %w", w.path, err)
	}
	return err
}

// hurry makes writing end at t. It may be called from any goroutine.
func (w *writer) hurry(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until = t; w.f != nil {
		_ = w.f.SetWriteDeadline(t)
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		w.f.Close() //nolint:errcheck // what could be written is
	}
}
