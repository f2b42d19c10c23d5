package main

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/configs"
)

// reader is what is at the other end of a pipe: it stops and goes on.
type reader struct {
	mu   sync.Mutex // held while it is stopped
	text bytes.Buffer
	err  error
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.text.Write(p)
}

func TestLoggingGoesOnWhenNobodyReadsTheLog(t *testing.T) {
	// Not in a bubble: what blocks on a mutex would not count as blocked, and the test is red by its time limit.
	stopped := make(chan struct{})
	var r reader
	r.mu.Lock()
	b := newBacklog(&r)
	log := newLogger(configs.Log{Level: "info", Format: "text"}, b)
	go func() {
		defer close(stopped)
		for range backlogSize / 50 { // more than there is room for: a line is longer
			log.Info("a line")
		}
	}()
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Fatal("a logger waits for a reader that has stopped")
	}
	r.mu.Unlock()
	b.close()
	if n := strings.Count(r.text.String(), "a line"); n < 1000 {
		t.Errorf("%d lines came out", n)
	}
}

func TestLostLinesAreToldWhenTheReaderGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var r reader
		b := newBacklog(writerFunc(func(p []byte) (int, error) { <-gate; return r.Write(p) }))
		told := 0
		b.onLoss(func(lost int) { told += lost })
		line := bytes.Repeat([]byte("x"), backlogSize/4)
		for range 7 {
			if n, err := b.Write(line); n != len(line) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		close(gate)
		synctest.Wait()
		if told != 3 || r.text.Len() != 4*len(line) {
			t.Errorf("told of %d lost, %d bytes came out, want 3 and %d", told, r.text.Len(), 4*len(line))
		}
		b.close()
	})
}

func TestTheEndWaitsForTheReaderButNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := newBacklog(writerFunc(func(p []byte) (int, error) { <-gate; return len(p), nil }))
		_, _ = b.Write([]byte("last words\n"))
		begin := time.Now()
		b.close()
		if took := time.Since(begin); took != lastWords {
			t.Errorf("closing took %v, want %v", took, lastWords)
		}
		close(gate)
	})
}

func TestAReaderThatIsGoneIsNoError(t *testing.T) {
	r := reader{err: errors.New("broken pipe")}
	b := newBacklog(&r)
	if n, err := b.Write([]byte("x\n")); n != 2 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	b.close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
