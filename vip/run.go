package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

// Times of the loop.
const (
	retryTime = 100 * time.Millisecond // after something that failed
	portRetry = time.Second
	gateCheck = time.Second // between looks whether the gate is still there, while nothing renews it
)

// loop is what Run owns.
type loop struct {
	k       *Keeper
	wish    Wish
	wishAt  time.Duration
	wishSeq uint64
	needSeq uint64 // wishes before this one are void
	voided  uint64 // with barred: the term that lapsed
	barred  bool

	fact    link.Fact
	looked  bool // there has been a report of the link
	linkUp  bool
	linkWhy string
	mine    map[netip.Prefix]bool // what we have put on the link, and not yet taken off
	gap     []netip.Prefix        // of those: reported missing
	errs    map[string]error      // by what failed; gone when it succeeds

	jobs     chan job
	busy     bool
	ticket   uint32
	armed    bool
	decided  time.Duration
	begun    time.Time // of the claim
	released time.Time // when the gate was shut, of a release under way
	why      string    // of that release
	took     Took
	term     uint64
	since    time.Time
	lostAt   time.Time
	lostSeen bool

	port      Port
	portIndex int
	broken    bool // the port's readers have failed
	readers   sync.WaitGroup
	stopRead  context.CancelFunc
	restAt    time.Time

	schedule    announce.Schedule
	reason      string
	announcedAt time.Time
	announced   int
	check       check
	probed      time.Time // the round of the check in which a peer was asked to confirm
	sightings   []Sighting
	defended    time.Time
	defend      bool
	defendNews  bool
	readded     int

	renewAt, askAt, retryAt, portAt, gateAt time.Time
}

// Run takes from the kernel what an earlier run of this node has left there, and then makes the wish a fact and keeps it one, until ctx is done; then it
// releases. It returns when nothing of it runs any more and nothing of it is left in the kernel; an error says what is left.
func (k *Keeper) Run(ctx context.Context) error {
	l := &loop{k: k, mine: make(map[netip.Prefix]bool), errs: make(map[string]error), jobs: make(chan job)}
	l.schedule.Refresh = k.cfg.Refresh
	l.begin()

	// The watch and the hand outlive ctx: they are needed to release.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	results := make(chan done, 1)
	var parts sync.WaitGroup
	parts.Go(func() { k.watch(inner) })
	parts.Go(func() { k.hand(inner, l.jobs, results) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-k.poke:
		case d := <-results:
			l.finish(d, time.Now())
		case <-timer.C:
		}
		timer.Reset(time.Until(l.turn(inner, time.Now())))
	}
	err := l.end(results)
	cancel()
	parts.Wait()
	return errors.Join(err, k.sys.Close())
}

// begin sweeps, and puts the gate in place, shut.
func (l *loop) begin() {
	k := l.k
	if err := sweep(k.sys, k.cfg, k.log); err != nil {
		l.fail("sweep", err)
		k.log.Error("could not sweep", "err", err)
	}
	if err := writeRecord(k.cfg); err != nil {
		l.fail("record", err)
		k.log.Warn("could not write the record of what is in the kernel", "err", err)
	}
	if err := k.lease.install(); err != nil {
		k.smu.Lock()
		k.st.Gate = fmt.Sprintf("none: %v", err)
		k.smu.Unlock()
	}
	if k.lease.gate == nil {
		k.log.Warn("no gate: a hung daemon is silenced by the lease of its addresses only", "lease", k.cfg.Lease, "err", k.State().Gate)
	}
}

// watch follows the link, come what may.
func (k *Keeper) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := k.sys.Watch(ctx, k.cfg.Interface, k.linked); err != nil {
			k.log.Warn("watching the link failed", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryTime):
		}
	}
}

// fail keeps an error to show, or, if err is nil, forgets it. It returns true for an error that is news.
func (l *loop) fail(what string, err error) (news bool) {
	if err == nil {
		delete(l.errs, what)
		return false
	}
	old := l.errs[what]
	l.errs[what] = err
	return old == nil || old.Error() != err.Error()
}

// turn looks at everything, does what is due, and returns when it wants to be called again.
func (l *loop) turn(ctx context.Context, now time.Time) time.Time {
	claims := l.look(ctx, now)
	l.guard(now)
	for _, s := range plan(l.goal(), l.facts(now)) {
		if !l.do(s, now) {
			break
		}
	}
	l.hear(claims, now)
	l.ask(now)
	l.speak(now)
	l.publish()
	return l.wake(now)
}

// look takes the inbox.
func (l *loop) look(ctx context.Context, now time.Time) []seen {
	k := l.k
	k.in.mu.Lock()
	l.wish, l.wishAt, l.wishSeq = k.in.wish, k.in.wishAt, k.in.wishSeq
	was := l.fact
	l.fact, l.looked = k.in.fact, k.in.looked
	vanished, again, ask, claims := k.in.vanished, k.in.again, k.in.ask, k.in.claims
	k.in.vanished, k.in.again, k.in.ask, k.in.claims = nil, "", false, nil
	l.broken, k.in.broken = k.in.broken, false
	k.in.mu.Unlock()

	for p := range vanished {
		if l.mine[p] && !slices.Contains(l.gap, p) {
			l.gap = append(l.gap, p)
		}
	}
	if l.barred && (!l.wish.Hold || l.wish.Term != l.voided) {
		l.barred = false
	}
	l.linkChanged(ctx, was, now)
	if ask {
		l.askAt = now
	}
	if again != "" {
		l.again(again, now)
	}
	return claims
}

func (l *loop) linkChanged(ctx context.Context, was link.Fact, now time.Time) {
	k := l.k
	if !l.looked {
		return
	}
	if l.fact.Index != was.Index {
		clear(l.mine) // they went with the link
		l.gap = nil
	}
	if l.broken {
		l.closePort()
		l.portAt = now.Add(portRetry)
	}
	if l.fact.Index != l.portIndex || l.fact.Index != 0 && l.port == nil && !now.Before(l.portAt) {
		l.replacePort(ctx, now)
	}
	if string(was.MAC) != string(l.fact.MAC) && len(was.MAC) > 0 && len(l.fact.MAC) > 0 {
		l.again("the link's MAC changed", now)
	}
	why := l.fact.Why(k.vips)
	if why == l.linkWhy && l.linkUp == (why == "") {
		return
	}
	up := why == ""
	switch {
	case up && !l.linkUp:
		k.log.Info("link up")
	case !up:
		k.log.Warn("link down", "reason", why)
	}
	if l.fact.Why(nil) != "" {
		l.needSeq = l.wishSeq + 1 // what was decided before it went does not hold when it is back
	}
	l.linkUp, l.linkWhy = up, why
}

func (l *loop) replacePort(ctx context.Context, now time.Time) {
	k := l.k
	l.closePort()
	k.in.mu.Lock()
	k.in.broken = false // of the port that was
	k.in.mu.Unlock()
	l.portIndex = l.fact.Index
	if l.fact.Index == 0 {
		return
	}
	port, err := k.sys.Listen(l.fact.Index, slices.ContainsFunc(k.vips, netip.Addr.Is6))
	l.fail("listen", err)
	if err != nil {
		l.portAt = now.Add(portRetry)
		return
	}
	l.port, l.askAt, l.restAt = port, now, time.Time{}
	k.in.mu.Lock()
	k.in.port = port
	k.in.mu.Unlock()
	read, stop := context.WithCancel(ctx)
	l.stopRead = stop
	l.readers.Go(func() {
		if err := port.Receive(read, k.framed); err != nil {
			k.log.Warn("listening on the link failed", "err", err)
			k.in.mu.Lock()
			k.in.broken = true
			k.in.mu.Unlock()
			poke(k.poke)
		}
	})
}

func (l *loop) closePort() {
	if l.port == nil {
		return
	}
	l.k.in.mu.Lock()
	l.k.in.port = nil
	l.k.in.mu.Unlock()
	l.stopRead()
	l.readers.Wait()
	_ = l.port.Close() // of no use any more in any case
	l.port = nil
}

// guard looks after the lease: was it lost, is the gate still there.
func (l *loop) guard(now time.Time) {
	k := l.k
	if k.lease.expired() && !l.lostSeen {
		l.lostSeen, l.lostAt = true, now
		l.barred, l.voided = true, l.term
		l.needSeq = l.wishSeq
		l.stopped(now, "the gate lapsed")
		k.log.Warn("gate lapsed", "term", l.term, "took", k.lease.lateness())
	}
	if !now.Before(l.gateAt) {
		k.lease.check()
		l.gateAt = now.Add(gateCheck)
	}
	if k.lease.isGone() {
		err := k.lease.restore()
		switch news := l.fail("restore the gate", err); {
		case err == nil:
			k.log.Warn("the gate was removed by someone else and put back")
		case news:
			k.log.Error("the gate was removed by someone else and cannot be put back", "err", err)
		}
	}
}

// goal is the wish, if nothing forbids it. A wire that is gone ends holding at once; an own address that is missing only keeps it from beginning, what to make of
// it meanwhile is the election's business.
func (l *loop) goal() goal {
	mode, _, _, _, _ := l.k.lease.view()
	hold := l.wish.Hold && l.wishSeq >= l.needSeq && !l.barred && l.port != nil && l.fact.Why(nil) == ""
	if !passes(mode) {
		hold = hold && l.linkUp && l.permanent() == nil
	}
	return goal{hold: hold, quiet: l.wish.Quiet && l.k.lease.gate != nil}
}

// permanent finds a virtual address that somebody has configured for good. It would outlive every lease. While we hold it is ours: the next renewal gives it
// its lifetime back.
func (l *loop) permanent() error {
	if len(l.mine) > 0 {
		return nil
	}
	return permanent(l.fact, l.k.vips)
}

func permanent(f link.Fact, vips []netip.Addr) error {
	var errs []error
	for _, v := range vips {
		if a, ok := f.Find(v); ok && a.Permanent {
			errs = append(errs, fmt.Errorf("the virtual address %s is permanently on %s, so that this host would answer for it whoever leads: remove it from the host's network configuration, and now with: ip addr del %s dev %s",
				v, f.Name, a.Prefix, f.Name))
		}
	}
	return errors.Join(errs...)
}

// facts is what is so, in the words of the plan.
func (l *loop) facts(now time.Time) fact {
	mode, _, lost, _, _ := l.k.lease.view()
	f := fact{mode: mode, armed: l.armed, busy: l.busy || now.Before(l.retryAt), vanished: l.gap, renew: !now.Before(l.renewAt)}
	for _, p := range l.k.cfg.Addresses {
		if l.mine[p] {
			f.present = append(f.present, p)
		} else {
			f.absent = append(f.absent, p)
		}
	}
	if lost && len(f.present) == 0 && !l.busy {
		l.k.lease.settle()
		l.lostSeen = false
	}
	return f
}

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
	l.jobs <- job{do: do, index: l.fact.Index, what: what, port: l.port}
}

func (l *loop) shut(now time.Time) {
	why := l.wish.Reason
	if !l.linkUp {
		why = l.linkWhy
	}
	l.stopped(now, why)
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
	mode := fence.Open
	if l.wish.Quiet && k.lease.gate != nil {
		mode = fence.Quiet
	}
	err := k.lease.open(l.ticket, l.decided, mode)
	l.armed = false
	l.claimFailed(err, now)
	if err != nil {
		return
	}
	l.took.Gate = time.Since(start)
	l.term, l.since, l.renewAt, l.released = l.wish.Term, now, now.Add(k.cfg.Lease/3), time.Time{}
	if mode == fence.Open {
		start = time.Now()
		l.again(l.wish.Reason, now)
		l.speak(now)
		l.took.Announce = time.Since(start)
	}
	for _, v := range k.vips {
		k.log.Info("claimed", "vip", v, "term", l.term, "reason", l.wish.Reason, "quiet", mode == fence.Quiet,
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
	err := k.lease.turn(to)
	news := l.fail("turn the gate", err)
	switch {
	case news:
		k.log.Warn("could not turn the gate", "err", err)
		fallthrough
	case err != nil:
		l.retryAt = now.Add(retryTime)
	case to == fence.Quiet:
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
	}
	if d.index != l.fact.Index {
		return // the link went meanwhile
	}
	for _, p := range d.ok {
		if d.do == remove {
			delete(l.mine, p)
		} else {
			l.mine[p] = true
		}
	}
	if d.do == add || d.do == readd {
		l.took.Add = d.took
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
		for _, p := range d.ok {
			l.readded++
			k.log.Warn("vip was removed by someone else and put back", "vip", p.Addr(), "took", d.took)
		}
		if len(d.ok) > 0 {
			l.again("put back", now)
		}
	case remove:
		if len(l.mine) == 0 && !l.released.IsZero() {
			for _, v := range k.vips {
				k.log.Info("released", "vip", v, "term", l.term, "reason", l.why, "took", now.Sub(l.released))
			}
			l.released = time.Time{}
		}
	}
}

// publish makes the state known, and pokes if it is news.
func (l *loop) publish() {
	k := l.k
	mode, _, lost, _, leaseErr := k.lease.view()
	k.in.mu.Lock()
	known, othersAt := len(k.in.others.known) > 0, k.in.others.at
	k.in.mu.Unlock()
	st := State{
		Holds: passes(mode) && len(l.mine) == len(k.cfg.Addresses), Term: l.term,
		LinkUp: l.linkUp, LinkWhy: l.linkWhy, Took: l.took, Readded: l.readded, LostAt: l.lostAt,
		Sightings: slices.Clone(l.sightings), Wire: l.check.result(known, othersAt),
		AnnouncedAt: l.announcedAt, Announced: l.announced,
	}
	st.Quiet = st.Holds && mode == fence.Quiet
	if st.Holds {
		st.Since = l.since
		if l.wish.Hold {
			l.term, st.Term = l.wish.Term, l.wish.Term
		}
	}
	if len(l.fact.MAC) > 0 {
		st.MACs = append(st.MACs, slices.Clone(l.fact.MAC))
	}
	st.Err = l.err(lost, leaseErr)

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
		case !l.linkUp:
			errs = append(errs, errors.New(l.linkWhy))
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
	mode, proven, _, _, _ := l.k.lease.view()
	if passes(mode) {
		first(now.Add(max(0, proven+l.k.lease.budget-l.k.sys.Clock())))
	}
	if !l.busy {
		if passes(mode) && !l.renewAt.Before(l.retryAt) {
			first(l.renewAt)
		}
		if l.retryAt.After(now) {
			first(l.retryAt)
		}
		if l.port != nil {
			first(l.restAt)
		}
	}
	switch {
	case l.port == nil && l.fact.Index != 0:
		first(l.portAt)
	case l.port != nil && l.linkUp:
		first(l.askAt)
		first(l.check.due())
		first(l.schedule.Due())
	}
	if l.defend {
		first(l.defended.Add(defendEvery))
	}
	// Whatever comes at once comes as a poke. The floor keeps a mistake in the above from becoming a busy loop.
	return later(next, now.Add(time.Millisecond))
}

// end releases, and waits for it.
func (l *loop) end(results <-chan done) error {
	k := l.k
	l.wish = Wish{Reason: "the daemon stops"}
	now := time.Now()
	l.shut(now)
	if l.busy {
		l.finish(<-results, now)
	}
	var left []netip.Prefix
	for p := range l.mine {
		left = append(left, p)
	}
	var errs []error
	if len(left) > 0 {
		d := k.carryOut(job{do: remove, index: l.fact.Index, what: left})
		l.finish(d, time.Now())
		errs = append(errs, d.err)
	}
	l.publish()
	l.closePort()
	if k.lease.gate != nil {
		// Shut, it keeps silent what could not be removed.
		if len(l.mine) == 0 {
			errs = append(errs, k.lease.gate.Remove())
		}
		errs = append(errs, k.lease.gate.Close())
	}
	if len(l.mine) == 0 {
		errs = append(errs, removeRecord(k.cfg))
	}
	return errors.Join(errs...)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
