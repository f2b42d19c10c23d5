package election

import "time"

// lead decides for a node that holds, or tries to.
func (s *scene) lead() Decision {
	self := s.v.Self
	if self.LateAt.After(self.WishAt) {
		s.memo.late = true
		return s.stay(ReasonLate, "")
	}
	ordered := self.Giving.To != "" && self.Giving.Term > self.Term // not yet done, not yet cancelled
	if ordered {
		if q, ok := s.peer(self.Giving.To); ok && s.fresh(q) && q.Holds && q.Term >= self.Giving.Term {
			return s.stay(ReasonHandedOver, q.Name)
		}
	}
	if s.p.Quorum && !s.granted() && !s.between() {
		return s.stay(ReasonNoQuorum, "")
	}
	rival, why, lost := s.meet()
	if lost {
		return s.stay(why, rival)
	}
	doubting := s.doubting()
	if doubting && s.deafened() {
		d := s.stay(ReasonDeaf, s.silent())
		d.Check = true
		return d
	}
	q, unheard := s.unhearing(s.p.Failover / 8)
	switch {
	case !unheard:
		s.memo.despite = false
	case !s.memo.despite:
		return s.stay(ReasonUnheard, q.Name)
	}
	switch {
	case ordered:
		return s.hand()
	case self.Leaving:
		return s.leave()
	case s.asked():
		d := s.obey()
		d.Check = doubting
		return d
	}
	s.memo.askedAt = time.Time{}
	if s.memo.why == "" {
		s.memo.why = ReasonHolds
	}
	d := s.hold(s.term(), s.memo.why, s.memo.whyPeer)
	d.Check = doubting
	if rival != "" {
		d.Reason, d.Peer = ReasonMeeting, rival
		return d
	}
	return s.move(d)
}

// term is that of the present hold. It stays, but for one case: a peer claimed with a newer one and let go again. Then this
// node takes a still newer one, so that the newest term is the leader's: by it the others tell whose silence matters.
func (s *scene) term() uint64 {
	self := s.v.Self
	for _, q := range s.peers {
		if self.Holds && s.fresh(q) && !q.Holds && q.Term > self.Term {
			return s.next()
		}
	}
	return max(self.Term, 1)
}

// meet looks at every other holder that is heard: lost if this node has to let go, else rival is one that has to.
func (s *scene) meet() (rival string, why Reason, lost bool) {
	self := s.v.Self
	for _, q := range s.peers {
		if !s.fresh(q) || !q.Holds {
			continue
		}
		if s.ordered(q) || self.Holds && s.votesWith(q) {
			continue // it lets go as soon as it hears of this claim, or had to before it
		}
		if !self.Holds {
			return q.Name, ReasonPeerHolds, true // nothing is lost yet by giving way
		}
		if why, lost := s.loses(q); lost {
			return q.Name, why, true
		}
		rival = q.Name
	}
	return rival, "", false
}

// ordered reports whether q ordered the claim of the present hold, and has not taken that back by a newer term.
func (s *scene) ordered(q Peer) bool {
	t := s.v.Self.Take
	return s.memo.why.Ordered() && s.memo.whyPeer == q.Name && t.From == q.Name && q.Term < t.Term
}

// hand goes on with the handover that was ordered.
func (s *scene) hand() Decision {
	g := s.v.Self.Giving
	q, ok := s.peer(g.To)
	if ok && !q.Crashed && !q.Left && !s.passed(g.At.Add(s.p.Handover)) {
		return s.hold(max(s.v.Self.Term, 1), ReasonHanding, g.To)
	}
	if s.v.Self.Leaving {
		return s.stay(ReasonLeaving, g.To)
	}
	return s.hold(s.next(), ReasonCancelled, g.To)
}

// leave asks for a handover to the best peer, or lets go.
func (s *scene) leave() Decision {
	to := s.heir(func(Peer) bool { return true })
	s.since(&s.memo.askedAt, true)
	if to == "" || s.passed(s.memo.askedAt.Add(s.p.Handover)) {
		return s.stay(ReasonLeaving, "")
	}
	d := s.hold(max(s.v.Self.Term, 1), ReasonHanding, to)
	d.HandTo, d.HandTerm = to, s.next()
	return d
}

// move asks for a handover to a peer that is fitter, or that preempts.
func (s *scene) move(d Decision) Decision {
	self := s.v.Self
	fitter := s.heir(func(q Peer) bool { return !q.Settling && s.fitter(q) })
	preferred := s.heir(func(q Peer) bool {
		return q.Wants && q.Priority > s.p.Priority && q.unfit() <= self.unfit() && !q.Settling
	})
	if s.byHand() {
		preferred = ""
		if self.unfit() <= s.memo.handRank {
			fitter = "" // the operator knew
		}
	}
	never := s.memo.movedAt.IsZero()
	switch {
	case fitter != "" && (never || s.passed(s.memo.movedAt.Add(moveEvery))):
		d.HandTo = fitter
	case preferred != "" && (never || s.passed(s.memo.movedAt.Add(retryEvery))):
		d.HandTo = preferred
	default:
		return d
	}
	d.HandTerm = s.next()
	return d
}
