package proxy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// partings are what a reload has taken out of the configuration, while some clients still use it.
type partings struct {
	mu  sync.Mutex // guards what follows
	all []*parting
}

// parting is one such thing.
type parting struct {
	since time.Time
	until time.Time // then it is ended; zero: it need not be
	door  *door     // or nil
	look  func()    // what is done now and then
	gone  func() bool
	end   func()
}

func (ps *partings) add(p *parting) {
	p.since = time.Now()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = append(ps.all, p)
}

// look ends those whose time is over, and forgets those that nobody uses.
func (ps *partings) look(now time.Time) {
	ps.mu.Lock()
	all := slices.Clone(ps.all)
	ps.mu.Unlock()
	gone := map[*parting]bool{}
	for _, p := range all {
		p.look()
		over := !p.until.IsZero() && !now.Before(p.until)
		if over {
			p.end()
		}
		// Those who come in by a door may need a moment to leave, and who has just got hold of something to use it.
		gone[p] = over && p.door == nil || now.Sub(p.since) > moment && p.gone()
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = slices.DeleteFunc(ps.all, func(p *parting) bool { return gone[p] })
}

// moment is how long a thing stays known that seems to be used by nobody.
const moment = time.Second

// end ends all but the clients.
func (ps *partings) end() {
	ps.mu.Lock()
	all := ps.all
	ps.all = nil
	ps.mu.Unlock()
	for _, p := range all {
		if p.door == nil {
			p.end()
		}
	}
}

func (ps *partings) doors() []*door {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var out []*door
	for _, p := range ps.all {
		if p.door != nil {
			out = append(out, p.door)
		}
	}
	return out
}

// upstream parts with a way to a backend. What is in hand goes on.
func (ps *partings) upstream(u *upstream) {
	u.leaving.Store(true)
	look := func() {
		u.tidy(time.Time{})
		if u.mux != nil {
			u.mux.Look(time.Now())
		}
	}
	look()
	ps.add(&parting{look: look, gone: func() bool { return u.mux == nil || u.mux.Empty() }, end: u.close})
}

// backend parts with a backend: who uses it may go on for as long as a drain.
func (ps *partings) backend(b *pool.Backend, patience time.Duration) {
	ps.add(&parting{
		until: time.Now().Add(patience), look: func() {}, end: b.Close,
		gone: func() bool { return b.Active() == 0 },
	})
}

// leave parts with a door: its clients finish what they have in hand.
func (ps *partings) leave(d *door, patience time.Duration) {
	d.leave()
	ps.add(&parting{
		door: d, until: time.Now().Add(patience), look: func() {},
		gone: func() bool { return d.sessions.empty() },
		end:  func() { d.sessions.cut() },
	})
}

// log parts with an access log that requests in hand may still write to.
func (ps *partings) log(stop context.CancelFunc, patience time.Duration) {
	ps.add(&parting{until: time.Now().Add(patience), look: func() {}, gone: func() bool { return false }, end: stop})
}
