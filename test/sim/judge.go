package sim

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// judge looks at every change of anything that decides where packets go, and so knows it at every instant.
type judge struct {
	hosts   []*host
	clients []*client
	port    netip.AddrPort // of the listener on the VIP
	trace   func(format string, args ...any)
	strict  bool // who would answer counts even if nobody can hear it

	mu      sync.Mutex // guards what follows
	fates   []fate
	since   []time.Time // of the fate's being served, or not
	leader  *host
	dualAt  time.Time // zero: at most one answers
	record  record
	stopped bool
}

// record is what was seen since it was begun.
type record struct {
	from  time.Time
	gaps  []time.Duration // the longest time in which a client was not served, by client
	dual  time.Duration   // the longest time in which more than one answered ARP
	duals time.Duration   // all of it
	moves int             // how often another node was the only one to answer
}

func (j *judge) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.fates, j.since = make([]fate, len(j.clients)), make([]time.Time, len(j.clients))
	for i, c := range j.clients {
		j.fates[i], j.since[i] = c.where(j.hosts, j.port), now
	}
	j.record = record{from: now, gaps: make([]time.Duration, len(j.clients))}
}

// look takes note of what has changed.
func (j *judge) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fates == nil || j.stopped {
		return
	}
	now := time.Now()
	for i, c := range j.clients {
		f := c.where(j.hosts, j.port)
		c.confirm(f)
		if f == j.fates[i] {
			continue
		}
		j.trace("packets of %s: %v (before: %v)", c.station.name, f, j.fates[i])
		if (f.is == served) != (j.fates[i].is == served) {
			j.note(i, now)
			j.since[i] = now
		}
		j.fates[i] = f
	}
	var who []*host
	for _, h := range j.hosts {
		if h.answers() && (j.strict || h.speaks()) {
			who = append(who, h)
		}
	}
	if len(who) == 1 && who[0] != j.leader {
		j.trace("only %s answers now", who[0].station.name)
		if j.leader != nil {
			j.record.moves++
		}
		j.leader = who[0]
	}
	switch dual := len(who) > 1; {
	case dual && j.dualAt.IsZero():
		j.trace("%d nodes answer", len(who))
		j.dualAt = now
	case !dual && !j.dualAt.IsZero():
		j.noteDual(now)
		j.record.duals += now.Sub(later(j.dualAt, j.record.from))
		j.dualAt = time.Time{}
	}
}

// speaks says whether what the host answers can reach anybody.
func (h *host) speaks() bool {
	h.seg.mu.Lock()
	defer h.seg.mu.Unlock()
	x := h.station
	return !x.unplugged && !x.mute && !x.deaf
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// note ends a gap, if that is what the time since then was. j.mu is held.
func (j *judge) note(i int, now time.Time) {
	if j.fates[i].is != served {
		j.record.gaps[i] = max(j.record.gaps[i], now.Sub(later(j.since[i], j.record.from)))
	}
}

func (j *judge) noteDual(now time.Time) {
	if !j.dualAt.IsZero() {
		j.record.dual = max(j.record.dual, now.Sub(later(j.dualAt, j.record.from)))
	}
}

// turn ends the record and begins a new one.
func (j *judge) turn() record {
	j.look()
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	for i := range j.fates {
		j.note(i, now)
	}
	j.noteDual(now)
	if !j.dualAt.IsZero() {
		j.record.duals += now.Sub(later(j.dualAt, j.record.from))
	}
	r := j.record
	j.record = record{from: now, gaps: make([]time.Duration, len(j.clients))}
	return r
}

// settled says what is wrong with a segment on which all should be well.
func (j *judge) settled() error {
	j.look()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.dualAt.IsZero() {
		return fmt.Errorf("more than one node answers for the VIP")
	}
	for i, f := range j.fates {
		if f.is != served && f.is != asking {
			return fmt.Errorf("packets of %s: %v", j.clients[i].station.name, f)
		}
	}
	return nil
}

// holder is who alone answers, or nil.
func (j *judge) holder() *host {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.leader != nil && j.dualAt.IsZero() && j.leader.answers() {
		return j.leader
	}
	return nil
}

func (j *judge) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
}
