package election

import "time"

// follow decides for a node that does not hold.
func (s *scene) follow() Decision {
	self := s.v.Self
	holder, held := s.holder()
	unheard, yield := s.unhearing(0)
	if s.mayTake() && !yield {
		s.memo.movedAt = s.now
		if self.Take.ByHand {
			s.memo.handRank = self.unfit()
			return s.claim(self.Take.Term, ReasonByHand, self.Take.From)
		}
		return s.claim(self.Take.Term, ReasonOrdered, self.Take.From)
	}
	if self.Leaving {
		return s.stay(ReasonLeaving, "")
	}
	if held {
		return s.standby(holder)
	}
	if !s.settled() {
		return s.settle()
	}
	if s.byVotes() {
		return s.elect(s.silent(), false)
	}
	s.memo.despite = s.memo.despite && yield
	if yield && !s.memo.despite {
		s.since(&s.memo.yieldAt, true)
		if !s.passed(s.memo.yieldAt.Add(patience * s.p.Failover)) {
			return s.stay(ReasonUnheard, unheard.Name)
		}
		s.memo.despite = true
	}
	ok, why, peer := s.accounted()
	if ok && (why != ReasonVacant || !s.answering()) {
		return s.stand(why, peer, false)
	}
	ok, why, peer = s.wire()
	if !ok {
		d := s.stay(why, peer)
		d.Check = !s.outdated()
		return d
	}
	return s.stand(why, peer, true)
}

// mayTake reports whether the order to take over is valid now. One that waited in a buffer while this process slept, or
// that was overtaken by another claim or a cancellation, is not.
func (s *scene) mayTake() bool {
	t, self := s.v.Self.Take, s.v.Self
	from, ok := s.peer(t.From)
	switch {
	case self.Leaving, !ok, !s.fresh(from):
		return false
	case !t.At.After(latest(s.doubt(), self.WishAt)), !from.HeardAt.After(s.doubt()), s.now.Sub(t.At) >= 4*s.p.Handover:
		return false
	case t.Term < s.newest, t.Term <= self.Term, s.p.Quorum && !s.quorate():
		return false
	}
	for _, q := range s.peers {
		if q.Term >= t.Term || q.Name != t.From && q.Holds && s.fresh(q) {
			return false
		}
	}
	return true
}

// standby is the decision beside a peer that holds.
func (s *scene) standby(h Peer) Decision {
	d := s.stay(ReasonPeerHolds, h.Name)
	d.Check = s.settledHalf() && s.quiet(h) && !s.outdated() && !s.byVotes()
	s.memo.despite = false
	if h.Term > s.v.Self.Term && h.HeardAt.After(s.doubt()) {
		s.memo.late = false // somebody has claimed since: what this node slept through is settled
	}
	d.Wants = s.wants(h)
	return d
}

// wants reports whether this node would take over from h by preemption.
func (s *scene) wants(h Peer) bool {
	if !s.p.Preempt || !s.settled() || s.p.Priority <= h.Priority || s.v.Self.unfit() > h.unfit() {
		return false
	}
	c := s.contact(h)
	return !c.mutual.IsZero() && s.passed(c.mutual.Add(s.p.PreemptDelay))
}

// settle is the decision while listening after the start. The wire check runs in its second half, so that it costs nothing.
func (s *scene) settle() Decision {
	d := s.stay(ReasonSettling, "")
	d.Check = s.settledHalf() && !s.outdated() && !s.byVotes()
	return d
}

func (s *scene) settledHalf() bool { return s.passed(s.v.Self.Started.Add(s.p.Settle / 2)) }

// quiet reports whether q has been silent for half of the budget.
func (s *scene) quiet(q Peer) bool { return s.now.Sub(q.HeardAt) >= s.p.Failover/2 }

// stand is the decision of a node that may claim: it does, unless a better candidate should.
func (s *scene) stand(why Reason, peer string, check bool) Decision {
	n, better := s.betterPeers()
	s.since(&s.memo.readyAt, true)
	if n > 0 && !s.passed(s.memo.readyAt.Add(time.Duration(n)*s.p.Stagger)) {
		d := s.stay(ReasonBetter, better)
		d.Check = check
		return d
	}
	if s.p.Quorum {
		return s.elect(peer, check)
	}
	return s.claim(s.next(), why, peer)
}
