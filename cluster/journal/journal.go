package journal

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// burst is how many entries may wait for Run: more than a failover makes by far, and those of some seconds of storm while Run gets no processor.
	burst = 512
	// unwritten is how many lines may wait for a slow disk.
	unwritten = 256
)

// Config describes a journal.
type Config struct {
	Boot string // of this start of the daemon
	// Path is the file that outlives the daemon; beside it is Path.1, the older half. Empty: nothing is kept over a restart.
	Path string
}

// Journal keeps the last 1,000 decisions, 1,000 events and 100 moves. Run owns them; the election loop, which records, and those who ask never wait for
// each other or for the disk.
type Journal struct {
	cfg   Config
	log   hclog.Logger
	in    chan Entry
	lost  atomic.Uint64
	ask   chan chan<- []Entry
	ended chan struct{}
	store store // belongs to Run
}

// ErrEnded means that the journal does not run any more.
var ErrEnded = errors.New("the journal has ended")

// New returns a journal with what is left of earlier ones in the file; a file that cannot be read is told in the log, and no reason not to go on.
func New(cfg Config, log hclog.Logger) *Journal {
	j := &Journal{cfg: cfg, log: log, in: make(chan Entry, burst), ask: make(chan chan<- []Entry), ended: make(chan struct{})}
	if cfg.Path == "" {
		return j
	}
	skipped, err := load(cfg.Path, &j.store)
	if err != nil {
		log.Warn("what was remembered from before cannot be read", "err", err)
	}
	if skipped > 0 {
		log.Info("skipped lines that make no sense", "path", cfg.Path, "lines", skipped)
	}
	return j
}

// Record keeps e, whose Seq and Boot are filled in. It never blocks; the caller must not change what e points to afterwards. Of a flood some is lost, and counted.
func (j *Journal) Record(e Entry) {
	select {
	case j.in <- e:
	default:
		j.lost.Add(1)
	}
}

// Entries returns all that is kept, in order. What the entries point to must not be changed. It waits for Run, and until ctx ends.
func (j *Journal) Entries(ctx context.Context) ([]Entry, error) {
	answer := make(chan []Entry, 1)
	select {
	case j.ask <- answer:
		return <-answer, nil
	case <-j.ended:
		return nil, ErrEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run keeps what is recorded until ctx ends, and then what has been recorded until then. It returns when all of it has been written.
func (j *Journal) Run(ctx context.Context) error {
	defer close(j.ended)
	lines := make(chan Entry, unwritten)
	written := make(chan struct{})
	go func() {
		defer close(written)
		j.write(lines)
	}()
	defer func() {
		close(lines)
		<-written
	}()
	for {
		select {
		case e := <-j.in:
			j.take(e, lines)
		case answer := <-j.ask:
			answer <- j.store.all() // it has room
		case <-ctx.Done():
			j.rest(lines)
			return nil
		}
	}
}

// rest takes what was recorded before the end.
func (j *Journal) rest(lines chan<- Entry) {
	for {
		select {
		case e := <-j.in:
			j.take(e, lines)
		default:
			return
		}
	}
}

func (j *Journal) take(e Entry, lines chan<- Entry) {
	if n := j.lost.Swap(0); n > 0 {
		j.log.Warn("entries of the journal were lost: they came faster than they could be kept", "count", n)
		j.keep(Entry{At: time.Now(), Event: &Event{What: "journal-lost", Text: "entries were lost here: they came faster than they could be kept"}}, lines)
	}
	j.keep(e, lines)
}

func (j *Journal) keep(e Entry, lines chan<- Entry) {
	e = e.bounded()
	e.Boot = j.cfg.Boot
	e, news := j.store.add(e)
	if !news {
		return
	}
	select {
	case lines <- e:
	default: // the disk is slower: memory has it
	}
}

// write writes lines to the file, if there is one, until the channel is closed. A disk that refuses is told once.
func (j *Journal) write(lines <-chan Entry) {
	f := file{path: j.cfg.Path}
	defer f.close()
	failed := false
	for e := range lines {
		if j.cfg.Path == "" {
			continue
		}
		err := f.append(e)
		if err != nil && !failed {
			j.log.Warn("could not write the journal; after a restart it will not know of this time", "err", err)
		}
		failed = err != nil
	}
}
