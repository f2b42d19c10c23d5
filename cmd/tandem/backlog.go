package main

import (
	"io"
	"sync"
	"time"
)

const (
	// backlogSize is how much may wait for a reader that is slow: some thousand lines.
	backlogSize = 1 << 20
	// lastWords is how long the process waits at its end for what it has said to be read.
	lastWords = time.Second
)

// backlog is a writer that never makes its callers wait: whoever reads the log may be slow, stopped or gone, and the daemon, whose every part
// logs, has an address to hold. What is written waits for a goroutine of its own; beyond backlogSize it is lost, and counted.
type backlog struct {
	to    io.Writer
	ended chan struct{} // closed when all has been written after close

	mu      sync.Mutex // guards the rest
	work    sync.Cond
	waiting [][]byte
	size    int // of waiting
	lost    int // writes since tell was last called
	tell    func(lost int)
	closed  bool
}

// newBacklog returns a backlog for to, which nobody else may write to meanwhile. It is to be closed.
func newBacklog(to io.Writer) *backlog {
	b := &backlog{to: to, ended: make(chan struct{})}
	b.work.L = &b.mu
	go b.run()
	return b
}

// Write takes a copy of p. It never fails and never blocks.
func (b *backlog) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.size+len(p) > backlogSize {
		b.lost++
		return len(p), nil
	}
	b.waiting, b.size = append(b.waiting, append([]byte(nil), p...)), b.size+len(p)
	b.work.Signal()
	return len(p), nil
}

// onLoss sets who is told, once there is room again, how many writes were lost.
func (b *backlog) onLoss(tell func(lost int)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tell = tell
}

// close waits until everything has been written, and lastWords at most.
func (b *backlog) close() {
	b.mu.Lock()
	b.closed = true
	b.work.Signal()
	b.mu.Unlock()
	select {
	case <-b.ended:
	case <-time.After(lastWords):
	}
}

func (b *backlog) run() {
	defer close(b.ended)
	for {
		p, ok := b.next()
		if !ok {
			return
		}
		_, _ = b.to.Write(p) // there is nobody else to tell
		b.written(len(p))
	}
}

// next waits for something to write; false: there will be nothing more.
func (b *backlog) next() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) == 0 {
		if b.closed {
			return nil, false
		}
		b.work.Wait()
	}
	p := b.waiting[0]
	b.waiting = b.waiting[1:]
	return p, true
}

// written makes room, and tells of losses when the reader has caught up.
func (b *backlog) written(n int) {
	b.mu.Lock()
	b.size -= n
	lost, tell := b.lost, b.tell
	caughtUp := lost > 0 && tell != nil && !b.closed && len(b.waiting) == 0
	if caughtUp {
		b.lost = 0
	}
	b.mu.Unlock()
	if caughtUp {
		tell(lost)
	}
}
