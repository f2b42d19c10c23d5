package pool

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"time"
)

var (
	// ErrQueue means that nobody may wait any more: as many wait as may, or none may.
	ErrQueue = errors.New("every backend is full, and so is the queue")
	// ErrLimit means the same where the bound is that of the pool as a whole.
	ErrLimit = errors.New("the pool has as many requests as it may have, and nobody more may wait")
	// ErrWaited means that no backend had room in time.
	ErrWaited = errors.New("every backend stayed full for too long")
	// ErrGone means that who waited has gone.
	ErrGone = errors.New("client went away while it waited for a backend")
)

// glance is how often who waits in the queue is looked after.
const glance = time.Second

// queue is who waits for a backend, in the order in which they came.
type queue struct {
	waiting list.List // of *waiter
}

// waiter is one in the queue. Who takes it out of the queue sends it a turn.
type waiter struct {
	request Request
	exclude []*Backend
	turn    chan turn // has room for the one
}

type turn struct {
	lease Lease
	err   error
}

// Wait is Pick for who was told ErrFull: it waits for its turn, as long as the pool's queue allows. Who came first is
// served first, by the first backend that has room and is not excluded. gone is asked now and then whether waiting has
// become pointless. The error is ErrNone, ErrQueue, ErrWaited, ErrGone, or why ctx ended.
func (p *Pool) Wait(ctx context.Context, r Request, gone func() bool, exclude ...*Backend) (Lease, error) {
	w := &waiter{request: r, exclude: slices.Clone(exclude), turn: make(chan turn, 1)}
	place := p.enqueue(w)
	if place == nil {
		t := <-w.turn
		return t.lease, t.err
	}
	limit := time.NewTimer(p.conf().queueTimeout)
	defer limit.Stop()
	look := time.NewTicker(glance)
	defer look.Stop()
	for {
		var err error
		select {
		case t := <-w.turn:
			return t.lease, t.err
		case <-limit.C:
			err = ErrWaited
		case <-ctx.Done():
			err = ctx.Err()
		case <-look.C:
			if p.returned() {
				p.readmit()
			}
			if !gone() {
				continue
			}
			err = ErrGone
		}
		p.mu.Lock()
		if len(w.turn) == 0 {
			p.queue.waiting.Remove(place)
			p.mu.Unlock()
			return Lease{}, err
		}
		p.mu.Unlock() // its turn has come in this very moment
	}
}

// enqueue puts w into the queue and returns its place, or gives it its turn at once and returns nil.
func (p *Pool) enqueue(w *waiter) *list.Element {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := p.pick(w.request, w.exclude, now)
	switch {
	case err == nil:
		w.turn <- turn{lease: p.lease(b, now)}
		return nil
	case errors.Is(err, ErrFull) && p.queue.waiting.Len() < p.conf().queueSize:
		return p.queue.waiting.PushBack(w)
	case errors.Is(err, ErrFull) && p.spent():
		err = ErrLimit
	case errors.Is(err, ErrFull):
		err = ErrQueue
	}
	w.turn <- turn{err: err}
	return nil
}

// freed ends a use of a backend and gives that to the first in the queue that can take it.
func (p *Pool) freed(l Lease) {
	b := l.backend
	p.mu.Lock()
	defer p.mu.Unlock()
	b.active.Add(-1)
	wasSpent := p.spent()
	if l.counted {
		p.used--
	}
	if p.queue.waiting.Len() > 0 && (wasSpent || slices.Contains(p.rotation.reserve, b)) {
		p.serveOne()
		return
	}
	if p.queue.waiting.Len() == 0 || !b.serves.Load() || b.full() {
		return
	}
	for e := p.queue.waiting.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter) //nolint:errcheck // there is nothing else in the list
		only := w.request.Sticky
		if only != nil && only != b && only.serves.Load() && !slices.Contains(w.exclude, only) || slices.Contains(w.exclude, b) {
			continue
		}
		p.queue.waiting.Remove(e)
		w.turn <- turn{lease: p.lease(b, time.Now())}
		return
	}
}

// serveQueue gives all who wait their turn that can have it, after the rotation has changed. The caller holds mu.
func (p *Pool) serveQueue() {
	now := time.Now()
	for e := p.queue.waiting.Front(); e != nil; {
		next := e.Next()
		_ = p.serve(e, now) // who cannot be served waits on
		e = next
	}
}

// serveOne gives the room that the pool has again to the first who can use it. The caller holds mu.
func (p *Pool) serveOne() {
	now := time.Now()
	for e := p.queue.waiting.Front(); e != nil; {
		next := e.Next()
		w := e.Value.(*waiter) //nolint:errcheck // there is nothing else in the list
		switch err := p.serve(e, now); {
		case err == nil:
			return
		case errors.Is(err, ErrFull) && w.request.Sticky == nil && len(w.exclude) == 0:
			return // who takes any backend gets none: nor does anyone behind
		}
		e = next
	}
}

// serve gives one in the queue its turn, or the error why there can be none; ErrFull: it waits on. The caller holds mu.
func (p *Pool) serve(e *list.Element, now time.Time) error {
	w := e.Value.(*waiter) //nolint:errcheck // there is nothing else in the list
	b, err := p.pick(w.request, w.exclude, now)
	if errors.Is(err, ErrFull) {
		return err
	}
	p.queue.waiting.Remove(e)
	t := turn{err: err}
	if err == nil {
		t.lease = p.lease(b, now)
	}
	w.turn <- t
	return err
}

// spent reports whether the pool has as many uses as it may. The caller holds mu.
func (p *Pool) spent() bool { return p.conf().most > 0 && p.used >= p.conf().most }

// inHand is how many uses all backends have together.
func (p *Pool) inHand() int {
	n := int64(0)
	for _, b := range p.conf().backends {
		n += b.active.Load()
	}
	return int(n)
}

// Waiting returns how many wait for a backend now.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.waiting.Len()
}
