package election

import "cmp"

// standing is what candidates are compared by when nobody holds.
type standing struct {
	late     bool // let go because it was late
	unfit    int  // Rank and Reach
	last     bool // the last claim was its own: among equals nothing moves
	priority int
	name     string
}

// compare is negative if a should rather claim than b.
func compare(a, b standing) int {
	return cmp.Or(
		cmp.Compare(yes(a.late), yes(b.late)),
		cmp.Compare(a.unfit, b.unfit),
		cmp.Compare(yes(b.last), yes(a.last)),
		cmp.Compare(b.priority, a.priority),
		cmp.Compare(a.name, b.name),
	)
}

func (s *scene) standing(q Peer) standing {
	return standing{q.Late, q.unfit(), s.newest > 0 && q.Term == s.newest, q.Priority, q.Name}
}

func (s *scene) own() standing {
	self := s.v.Self
	return standing{s.memo.late, self.unfit(), s.newest > 0 && self.Term == s.newest, s.p.Priority, s.p.Name}
}

// betterPeers counts the fresh peers that should rather claim than this node, and names the best of them.
func (s *scene) betterPeers() (n int, name string) {
	best := s.own()
	for _, q := range s.peers {
		if !s.fresh(q) || !q.Fit || q.Leaving || q.Yields || s.deafForLong(q) || s.votesWith(q) || compare(s.standing(q), s.own()) >= 0 {
			continue
		}
		n++
		if c := s.standing(q); compare(c, best) < 0 {
			best, name = c, q.Name
		}
	}
	return n, name
}

func (q Peer) unfit() int { return q.Rank + q.Reach }

func (s Self) unfit() int { return s.Rank + s.Reach }

// fitter reports whether q is fitter than this node. Where only Reach makes it so, that must have lasted.
func (s *scene) fitter(q Peer) bool {
	self := s.v.Self
	if q.unfit() >= self.unfit() {
		return false
	}
	return q.Rank < self.Rank || s.passed(s.contact(q).fitter.Add(s.p.ReachHold))
}

// deaf peers hear nobody: they will not claim on silence, and cannot be told anything.
func (s *scene) deaf(q Peer) bool {
	return !q.HearsMe && !q.HearsOthers && q.DeafFor >= s.p.Failover*3/4
}

// deafForLong peers were deaf already when this node had heard them for a while: one that is heard again after a silence of the whole segment, or
// after a flap of its link, needs a beat or two to hear, and may be the better candidate.
func (s *scene) deafForLong(q Peer) bool {
	c := s.contact(q)
	return s.deaf(q) && s.passed(c.since.Add(s.p.Failover/4)) && s.passed(c.deaf.Add(s.p.Failover/8))
}

// heir is the peer to hand over to: the best of those that are fit, hear this node, and satisfy ok.
func (s *scene) heir(ok func(Peer) bool) string {
	var best standing
	for _, q := range s.peers {
		if !s.fresh(q) || !q.Fit || q.Leaving || !q.HearsMe || q.Holds || q.Votes && !q.Quorate || !ok(q) {
			continue
		}
		if c := s.standing(q); best.name == "" || compare(c, best) < 0 {
			best = c
		}
	}
	return best.name
}

// loses decides a meeting: this node holds, and so does q, which is heard. Both sides must come to the same verdict from
// what the beats say, or two would let go, or none. What is compared therefore only rises while they meet.
func (s *scene) loses(q Peer) (Reason, bool) {
	self := s.v.Self
	switch {
	case q.Late:
		return "", false // it is about to let go
	case !q.HearsMe && !q.HearsOthers:
		return "", false // it answers nobody, since it hears nobody
	case !q.HearsMe:
		// It cannot know of this meeting. If they have only just met, it has not had the time to hear us.
		return ReasonLostUnheard, s.passed(s.contact(q).since.Add(s.p.Failover / 4))
	case self.Served != q.Served:
		return ReasonLostServed, q.Served
	case self.Term != q.Term:
		return ReasonLostTerm, q.Term > self.Term
	case s.p.Priority != q.Priority:
		return ReasonLostPriority, q.Priority > s.p.Priority
	default:
		return ReasonLostName, q.Name < s.p.Name
	}
}
