package vip

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// The part of the loop that takes steps.

// do takes one step; false: the ones after it make no sense now.
func (l *loop) do(s step, now time.Time) bool {
	switch s.do {
	case shut:
		l.shut(now)
	case arm:
		return l.arm(now)
	case open:
		l.open(now)
	case turn:
		l.turnGate(now)
	default:
		l.give(s.do, s.what)
	}
	return true
}

// give hands work to the hand, which is idle.
func (l *loop) give(do verb, what []netip.Prefix) {
	l.busy = true
	if do == readd {
		l.gap = nil
	}
	j := job{do: do, what: l.spots(what)}
	if do == add {
		j.hops = l.hops()
	}
	l.jobs <- j
}

func (l *loop) shut(now time.Time) {
	why := l.wish.Reason
	if w := l.linkWhy(); w != "" {
		why = w
	}
	if mode, _, _, _ := l.k.lease.view(); passes(mode) || len(l.mine) > 0 {
		l.stopped(now, why)
	} else {
		l.armed = false
	}
	err := l.k.lease.shut()
	if l.fail("shut the gate", err) {
		l.k.log.Warn("could not shut the gate", "err", err)
	}
}

// stopped notes the end of holding, or of a claim.
func (l *loop) stopped(now time.Time, why string) {
	l.armed = false
	l.schedule.Stop()
	l.released, l.why = now, why
}

func (l *loop) arm(now time.Time) bool {
	l.ticket++
	l.begun, l.decided = now, l.wishAt
	err := l.k.lease.arm(l.ticket, l.decided)
	l.claimFailed(err, now)
	l.armed = err == nil
	l.took = Took{}
	return l.armed
}

// claimFailed notes that a claim did not come to its end; nil: it did, so far.
func (l *loop) claimFailed(err error, now time.Time) {
	news := l.fail("claim", err)
	switch {
	case err == nil:
	case errors.Is(err, errLate):
		l.needSeq = l.wishSeq + 1
		l.k.log.Warn("claim came too late", "term", l.wish.Term, "took", l.k.sys.Clock()-l.decided)
	default:
		l.retryAt = now.Add(retryTime)
		if news {
			l.k.log.Warn("claim failed", "term", l.wish.Term, "err", err)
		}
	}
}

func (l *loop) open(now time.Time) {
	k := l.k
	start := time.Now()
	l.took.Add = start.Sub(l.begun)
	mode := fence.Open
	if l.wish.Quiet && k.lease.gate != nil {
		mode = fence.Quiet
	}
	err := k.lease.open(l.ticket, l.decided, mode)
	if errors.Is(err, errNoVotes) {
		return // their coming wakes the loop
	}
	l.armed = false
	l.claimFailed(err, now)
	if err != nil {
		return
	}
	l.took.Gate, l.quietAt = time.Since(start), start
	l.term, l.since, l.renewAt, l.released = l.wish.Term, now, now.Add(k.cfg.Lease/3), time.Time{}
	if mode == fence.Open {
		start = time.Now()
		l.again(l.wish.Reason, now)
		l.speak(now)
		l.took.Announce = time.Since(start)
	}
	for _, v := range k.vips {
		l.of(v).log.Info("claimed", "vip", v, "term", l.term, "reason", l.wish.Reason, "quiet", mode == fence.Quiet,
			"took", time.Since(l.begun), "add", l.took.Add, "gate", l.took.Gate, "announce", l.took.Announce)
	}
	l.restAt = now.Add(time.Second)
}

func (l *loop) turnGate(now time.Time) {
	k := l.k
	to := fence.Open
	if l.wish.Quiet {
		to = fence.Quiet
	}
	before := time.Now()
	err := k.lease.turn(to)
	if errors.Is(err, errNoVotes) {
		return
	}
	news := l.fail("turn the gate", err)
	switch {
	case news:
		k.log.Warn("could not turn the gate", "err", err)
		fallthrough
	case err != nil:
		l.retryAt = now.Add(retryTime)
	case to == fence.Quiet:
		l.quietAt = before
		l.schedule.Stop()
		k.log.Info("went quiet", "term", l.term, "reason", l.wish.Reason)
	default:
		l.again(l.wish.Reason, now)
		k.log.Info("spoke up", "term", l.term, "reason", l.wish.Reason)
	}
}

// finish takes the result of a job.
func (l *loop) finish(d done, now time.Time) {
	l.busy = false
	k := l.k
	switch d.do {
	case look:
		l.offered(d, now)
		return
	case rest:
		return
	case pave, unpass:
		l.passed(d)
		return
	case add:
		l.passed(d)
	}
	// What concerns a link that went meanwhile is void.
	d.ok = slices.DeleteFunc(d.ok, func(x spot) bool { return x.index != l.of(x.p.Addr()).fact.Index })
	for _, x := range d.ok {
		if d.do == remove {
			delete(l.mine, x.p)
		} else {
			l.mine[x.p] = true
		}
	}
	if d.do == add {
		l.addedAt = now
	}
	if !errors.Is(d.err, errStale) {
		if l.fail("addresses", d.err) {
			k.log.Warn("changing addresses failed", "err", d.err)
		}
		if d.err != nil {
			l.retryAt = now.Add(retryTime)
		}
	}
	switch d.do {
	case renew:
		l.renewAt = now.Add(k.cfg.Lease / 3)
	case readd:
		l.putBack(d, now)
	}
}

// tellReleased tells that nothing is left of what was released.
func (l *loop) tellReleased(now time.Time) {
	if len(l.mine) > 0 || l.busy || l.released.IsZero() {
		return
	}
	for _, v := range l.k.vips {
		l.of(v).log.Info("released", "vip", v, "term", l.term, "reason", l.why, "took", now.Sub(l.released))
	}
	l.released = time.Time{}
}
