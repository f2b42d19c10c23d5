package election

import (
	"slices"
	"time"
)

const (
	failover    = 200 * time.Millisecond
	handover    = 50 * time.Millisecond
	foreignWait = 2500 * time.Millisecond // the default address lease, 2 s, is gone after 2.4 s at the latest
	// unanswered probes in a row prove that nobody answers: at 20 % loss one probe fails 36 % of the time, three 5 %.
	unanswered = 3
	// patience, in failover times, with a peer that does not hear us and should claim: then we stop waiting for it.
	patience = 5
	// moveEvery is the least time between two handovers for relative unfitness, so that a flapping test does not move the VIP back and forth.
	moveEvery = time.Minute
	reachHold = 5 * time.Second // longer than probes that fail need to take a backend out: two nodes do not notice at the same moment
	// retryEvery is the least time between two handovers by preemption: one that was cancelled is not tried again at once.
	retryEvery = 10 * time.Second
)

// Decide says whether this node should hold the VIP, and why. It is total: every view has a decision. It is idempotent:
// with the decision fed back (Wish, WishAt, Term, Memo), the same view at the same moment gives the same wish and term.
func Decide(p Policy, v View, now time.Time) Decision {
	s := scene{p: sane(p), v: v, now: now}
	s.survey()
	d := s.decide()
	d.Settled = s.settled()
	d.Late = s.memo.late
	d.Answered = s.answered()
	d.Yields = d.Reason == ReasonUnheard
	d.Quorate = s.p.Quorum && s.quorate()
	d.Ask = d.Ask || s.p.Quorum && d.Hold
	d.Favours = s.favourite(d.Stands)
	d.ByHand = d.Hold && s.byHand()
	d.Wake = s.wake
	d.Memo = s.memo
	return d
}

// scene is one decision in the making.
type scene struct {
	p      Policy
	v      View
	now    time.Time
	peers  []Peer // all but this node itself
	newest uint64 // term known anywhere
	memo   Memo
	wake   time.Time
}

func (s *scene) survey() {
	v := &s.v
	isSelf := func(q Peer) bool { return q.Name == s.p.Name }
	if s.peers = v.Peers; slices.ContainsFunc(v.Peers, isSelf) {
		s.peers = slices.DeleteFunc(slices.Clone(v.Peers), isSelf)
	}
	s.newest = max(v.Self.Newest, v.Self.Term, v.Self.Giving.Term, v.Self.Take.Term)
	for _, q := range s.peers {
		s.newest = max(s.newest, q.Term, q.Newest)
		if s.fresh(q) {
			s.wakeAt(q.HeardAt.Add(s.p.Failover / 2))
			s.wakeAt(q.HeardAt.Add(s.p.Failover))
		}
	}
	s.remember()
}

func sane(p Policy) Policy {
	p.Failover = or(p.Failover, failover)
	p.Stagger = or(p.Stagger, p.Failover/4)
	p.Handover = or(p.Handover, handover)
	p.ForeignWait = or(p.ForeignWait, foreignWait)
	p.ReachHold = or(p.ReachHold, reachHold)
	p.Settle = max(p.Settle, 0)
	return p
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (s *scene) decide() Decision {
	self := s.v.Self
	s.since(&s.memo.clearAt, s.telling())
	switch {
	case s.p.Witness:
		return s.stay(ReasonWitness, "")
	case !self.LinkUp:
		return s.stay(ReasonLinkDown, "")
	case self.Maintenance:
		return s.stay(ReasonMaintenance, "")
	case !self.Fit:
		return s.stay(ReasonUnfit, "")
	case self.Wish:
		return s.lead()
	default:
		return s.follow()
	}
}

// stay is the decision not to hold.
func (s *scene) stay(why Reason, peer string) Decision {
	s.memo.why, s.memo.whyPeer = "", ""
	s.memo.askedAt = time.Time{}
	if why != ReasonUnheard {
		s.memo.yieldAt = time.Time{}
	}
	if why != ReasonBetter {
		s.memo.readyAt = time.Time{}
	}
	return Decision{Reason: why, Peer: peer}
}

// claim is the decision to begin to hold.
func (s *scene) claim(term uint64, why Reason, peer string) Decision {
	m := &s.memo
	m.why, m.whyPeer = why, peer
	m.late = false
	m.yieldAt, m.readyAt, m.clearAt = time.Time{}, time.Time{}, time.Time{}
	return s.hold(term, why, peer)
}

func (s *scene) hold(term uint64, why Reason, peer string) Decision {
	return Decision{Hold: true, Term: term, Reason: why, Peer: peer}
}

// next is the term of a new claim.
func (s *scene) next() uint64 {
	if s.newest+1 == 0 {
		return s.newest // cannot be reached by counting
	}
	return s.newest + 1
}

// wakeAt asks for another decision at t.
func (s *scene) wakeAt(t time.Time) {
	if t.After(s.now) && (s.wake.IsZero() || t.Before(s.wake)) {
		s.wake = t
	}
}

// passed reports whether t is over, and asks for another decision when it will be.
func (s *scene) passed(t time.Time) bool {
	s.wakeAt(t)
	return !s.now.Before(t)
}

func (s *scene) settled() bool { return s.passed(s.v.Self.Started.Add(s.p.Settle)) }

// doubt is the moment up to which this node was not in touch: what it knew before may be outdated.
func (s *scene) doubt() time.Time { return latest(s.v.Self.LateAt, s.memo.linkAt) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
