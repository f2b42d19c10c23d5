package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
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

	segs []*segment
	mine map[netip.Prefix]bool // what we have put on the links, and not yet taken off
	gap  []netip.Prefix        // of those: reported missing
	errs map[string]error      // by what failed; gone when it succeeds

	jobs     chan job
	busy     bool
	ticket   uint32
	armed    bool
	decided  time.Duration
	begun    time.Time // of the claim
	addedAt  time.Time // of its addresses
	released time.Time // when the gate was shut, of a release under way
	why      string    // of that release
	took     Took
	term     uint64
	since    time.Time
	quietAt  time.Time
	lostAt   time.Time
	lostSeen bool

	restAt time.Time // when the ports may rest

	passing string    // the node that connections are passed on to
	paved   []int     // the links by which that can be, by index; nil: none
	paveAt  time.Time // not before
	passErr string    // why not, as told

	schedule    announce.Schedule
	reason      string
	announcedAt time.Time
	announced   int
	check       check
	probed      time.Time // the round of the check in which a peer was asked to confirm
	sightings   []Sighting
	tellingAt   time.Time // since when claimants are counted,
	telling     int       // and how many were new
	defended    time.Time
	defend      bool
	defendNews  bool
	removals    removals
	survey      survey
	proxied     bool  // the gateway has answered for a VIP, which is told once
	forGood     error // of permanent, as told
	strangers   []Stranger
	strangersAt time.Time // when they were looked for

	renewAt, askAt, retryAt, gateAt time.Time
}

// Run takes from the kernel what an earlier run of this node has left there, and then makes the wish a fact and keeps it one, until ctx is done; then it
// releases. It returns when nothing of it runs any more and nothing of it is left in the kernel; an error says what is left.
func (k *Keeper) Run(ctx context.Context) error {
	l := &loop{k: k, mine: make(map[netip.Prefix]bool), errs: make(map[string]error), jobs: make(chan job)}
	for n := range k.links {
		l.segs = append(l.segs, newSegment(k, n))
	}
	l.schedule.Refresh = k.cfg.Refresh
	l.begin()
	l.meetStrangers(time.Now())

	// The watch and the hand outlive ctx: they are needed to release.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	results := make(chan done, 1)
	var parts sync.WaitGroup
	for n := range k.links {
		parts.Go(func() { k.watch(inner, n) })
	}
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
	now, former := recordOf(k.cfg), formerNode(k.cfg)
	if err := sweep(k.sys, k.cfg, k.log); err != nil {
		l.fail("sweep", err)
		k.log.Error("could not sweep", "err", err)
		if old, err := readRecord(k.cfg); err == nil {
			now = now.with(old)
		}
	}
	if err := now.write(k.cfg); err != nil {
		l.fail("record", err)
		k.log.Warn("could not write the record of what is in the kernel", "err", err)
	}
	if err := k.lease.install(); err != nil {
		k.smu.Lock()
		k.st.Gate = fmt.Sprintf("none: %v", err)
		k.smu.Unlock()
	}
	if err := removeFormer(k.sys, k.cfg, former); err != nil {
		k.log.Error("could not sweep", "err", err)
	}
	if k.lease.gate == nil {
		k.log.Warn("no gate: a hung daemon is silenced by the lease of its addresses only", "lease", k.cfg.Lease, "err", k.State().Gate)
	}
}

// watch follows link n, come what may.
func (k *Keeper) watch(ctx context.Context, n int) {
	name := k.links[n].Interface
	for ctx.Err() == nil {
		if err := k.sys.Watch(ctx, name, func(f link.Fact) { k.linked(n, f) }); err != nil {
			k.log.Warn("watching the link failed", "link", name, "err", err)
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
	l.tellPermanent()
	for _, s := range plan(l.goal(), l.facts(now)) {
		if !l.do(s, now) {
			break
		}
	}
	l.passNoMore()
	l.pave(now)
	l.tellReleased(now)
	if l.removals.over(now) {
		l.k.log.Info("nobody has removed the vip for a while", "quiet", removalsOver)
	}
	l.hear(claims, now)
	l.ask(now)
	l.surveyed(now)
	l.speak(now)
	l.publish()
	k := l.k
	k.in.mu.Lock()
	k.in.hungry = l.wishSeq < l.needSeq
	k.in.mu.Unlock()
	return l.wake(now)
}

// guard looks after the lease: was it lost, is the gate still there.
func (l *loop) guard(now time.Time) {
	k := l.k
	if k.lease.expired() && !l.lostSeen {
		l.lostSeen = true
		k.smu.Lock()
		if noticed := k.st.LostAt; noticed.After(l.lostAt) {
			l.lostAt = noticed // by Renew, a moment ago
		} else {
			l.lostAt = now
		}
		k.smu.Unlock()
		l.barred, l.voided = true, l.term
		l.needSeq = l.wishSeq
		l.stopped(now, "the gate lapsed")
		k.log.Warn("gate lapsed", "term", l.term, "took", k.lease.lateness())
	}
	if !now.Before(l.gateAt) {
		k.lease.check()
		if len(l.strangers) > 0 && now.Sub(l.strangersAt) >= strangerEvery {
			l.meetStrangers(now)
		}
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

// goal is the wish, if nothing forbids it. A wire that is gone, of whatever link, ends holding at once; an own address that is missing only keeps it from beginning, what to make of
// it meanwhile is the election's business.
func (l *loop) goal() goal {
	mode, _, _, _ := l.k.lease.view()
	hold := l.wish.Hold && l.wishSeq >= l.needSeq && !l.barred && l.all(func(s *segment) bool { return s.port != nil && s.fact.Why(nil, nil) == "" })
	if !passes(mode) {
		hold = hold && l.linkWhy() == "" && l.permanent() == nil
	}
	return goal{hold: hold, quiet: l.wish.Quiet && l.k.lease.gate != nil}
}

// permanent finds a virtual address that somebody has configured for good. It would outlive every lease. While we hold it is ours: the next renewal gives it
// its lifetime back.
func (l *loop) permanent() error {
	if len(l.mine) > 0 {
		return nil
	}
	var errs []error
	for _, s := range l.segs {
		errs = append(errs, permanent(s.fact, l.k.vips))
	}
	return errors.Join(errs...)
}

// tellPermanent tells the log, for nobody may look at the state before it is this node's turn to claim.
func (l *loop) tellPermanent() {
	err := l.permanent()
	switch was := l.forGood; {
	case err != nil && (was == nil || was.Error() != err.Error()):
		l.k.log.Error("a vip is on the link for good, this node cannot lead", "err", err)
	case err == nil && was != nil:
		l.k.log.Info("no vip is on the link for good any more")
	}
	l.forGood = err
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

// appearTime bounds the wait for the kernel's own report of an address that it has accepted. IPv6 addresses are put to use by a worker of the kernel a
// little later; who announces before that invites packets that nobody takes.
const appearTime = 50 * time.Millisecond

// appearing says whether a claim waits for that.
func (l *loop) appearing(now time.Time) bool {
	if !l.armed || !now.Before(l.addedAt.Add(appearTime)) {
		return false
	}
	for p := range l.mine {
		if !has(l.of(p.Addr()).fact, p) {
			return true
		}
	}
	return false
}

// facts is what is so, in the words of the plan.
func (l *loop) facts(now time.Time) fact {
	mode, _, lost, _ := l.k.lease.view()
	f := fact{mode: mode, armed: l.armed, busy: l.busy || now.Before(l.retryAt) || l.appearing(now), vanished: l.gap, renew: !now.Before(l.renewAt)}
	for _, p := range l.k.cfg.All() {
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

// end releases, and waits for it.
func (l *loop) end(results <-chan done) error {
	k := l.k
	l.wish = Wish{Reason: "the daemon stops"}
	now := time.Now()
	l.shut(now)
	if l.busy {
		l.finish(<-results, now)
	}
	var mine []netip.Prefix
	for p := range l.mine {
		mine = append(mine, p)
	}
	var errs []error
	if len(mine) > 0 {
		d := k.carryOut(job{do: remove, what: l.spots(mine)})
		l.finish(d, time.Now())
		errs = append(errs, d.err)
	}
	l.tellReleased(time.Now())
	l.publish()
	for _, s := range l.segs {
		l.closePort(s)
	}
	var left error // of an earlier run
	if l.errs["sweep"] != nil {
		left = sweep(k.sys, k.cfg, k.log)
		errs = append(errs, left)
	}
	kept := l.permanent()
	if k.lease.gate != nil {
		// Shut, it keeps silent what could not be removed, and what somebody has configured for good.
		if len(l.mine) == 0 && kept == nil {
			errs = append(errs, k.lease.gate.Remove())
		}
		errs = append(errs, k.lease.gate.Close())
	}
	if len(l.mine) == 0 && kept == nil && left == nil {
		errs = append(errs, removeRecord(k.cfg))
	}
	if kept != nil {
		k.log.Error("a vip stays on the link for good, and the gate shut over it", "err", kept)
	}
	return errors.Join(errs...)
}
