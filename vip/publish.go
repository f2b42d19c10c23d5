package vip

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// The part of the loop that makes known what is so, and decides when to look again.

// publish makes the state known, and pokes if it is news.
func (l *loop) publish() {
	k := l.k
	mode, _, lost, leaseErr := k.lease.view()
	k.in.mu.Lock()
	known, othersAt := k.in.othersHeard()
	k.in.mu.Unlock()
	st := State{
		Holds: passes(mode) && len(l.mine) == len(k.vips), Term: l.term,
		LinkUp: l.all(func(s *segment) bool { return s.up }), LinkWhy: l.linkWhy(), Took: l.took, Readded: l.removals.total, Contested: l.removals.why(), Strays: l.survey.strays(), Strangers: slices.Clone(l.strangers), LostAt: l.lostAt,
		Sightings: slices.Clone(l.sightings), Wire: l.check.result(known, othersAt),
		AnnouncedAt: l.announcedAt, Announced: l.announced,
	}
	st.Quiet = st.Holds && mode == fence.Quiet
	if st.Quiet {
		st.QuietAt = l.quietAt
	}
	if st.Holds {
		st.Since = l.since
		if l.wish.Hold {
			l.term, st.Term = l.wish.Term, l.wish.Term
		}
	}
	for _, s := range l.segs {
		if len(s.fact.MAC) > 0 {
			st.MACs = append(st.MACs, slices.Clone(s.fact.MAC))
		}
	}
	st.Err, st.Barred = l.err(lost, leaseErr), l.permanent()

	k.smu.Lock()
	st.Gate = k.st.Gate
	if k.st.LostAt.After(st.LostAt) {
		st.LostAt = k.st.LostAt // noticed by Renew a moment earlier, or later
	}
	old := k.st
	k.st = st
	k.smu.Unlock()
	old.Took, old.AnnouncedAt, old.Announced = st.Took, st.AnnouncedAt, st.Announced
	if !reflect.DeepEqual(old, st) {
		poke(k.changed)
	}
}

// err is all that keeps the wish from being the fact.
func (l *loop) err(lost bool, lease error) error {
	var errs []error
	for _, what := range slices.Sorted(mapKeys(l.errs)) {
		errs = append(errs, l.errs[what])
	}
	errs = append(errs, lease, l.permanent())
	if l.wish.Hold {
		switch {
		case l.linkWhy() != "":
			errs = append(errs, errors.New(l.linkWhy()))
		case lost || l.barred:
			errs = append(errs, fmt.Errorf("the gate lapsed; term %d has ended", l.voided))
		}
	}
	return errors.Join(errs...)
}

// wake is the earliest of all that is due.
func (l *loop) wake(now time.Time) time.Time {
	next := l.gateAt
	first := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	mode, proven, _, _ := l.k.lease.view()
	if passes(mode) {
		first(now.Add(max(0, proven+l.k.lease.budget-l.k.sys.Clock())))
	}
	if l.armed {
		first(l.addedAt.Add(appearTime))
	}
	if !l.busy {
		if passes(mode) && !l.renewAt.Before(l.retryAt) {
			first(l.renewAt)
		}
		if l.retryAt.After(now) {
			first(l.retryAt)
		}
		first(l.restAt)
	}
	for _, s := range l.segs {
		if s.port == nil && s.fact.Index != 0 {
			first(s.portAt)
		}
	}
	if l.any((*segment).speaks) {
		first(l.askAt)
		first(l.check.due())
		first(l.survey.due())
		first(l.schedule.Due())
	}
	first(l.removals.until)
	if l.defend {
		first(l.defended.Add(defendEvery))
	}
	// Whatever comes at once comes as a poke. The floor keeps a mistake in the above from becoming a busy loop.
	return later(next, now.Add(time.Millisecond))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
