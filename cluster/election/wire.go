package election

import "time"

// wire reports whether the check of the wire allows a claim on silence, and why, or why not.
func (s *scene) wire() (ok bool, why Reason, peer string) {
	w := s.v.Wire
	silent := s.silent()
	switch {
	case s.memo.despite:
		why = ReasonUnclaimed
	case silent != "":
		why = ReasonSilence
	case len(s.peers) == 0:
		why = ReasonAlone
	default:
		why = ReasonVacant
	}
	switch {
	case w.Since.IsZero() || s.outdated():
		return false, ReasonChecking, silent
	case w.Deaf:
		return false, ReasonDeaf, silent
	case w.Probes >= unanswered:
	case s.answeredSince(w.PeerAt) && !s.passed(w.PeerAt.Add(s.p.Failover)):
		return false, ReasonPathBroken, w.PeerName
	case s.answeredSince(w.ForeignAt) && s.leaders() < s.v.Expected:
		return false, ReasonInUse, "" // a peer that this node has never heard has a MAC that it does not know
	case s.answeredSince(w.ForeignAt):
		if !s.passed(latest(w.Since, w.PeerAt).Add(s.p.ForeignWait)) {
			return false, ReasonForeignWait, silent
		}
		why = ReasonForeign
	default:
		return false, ReasonChecking, silent
	}
	if s.memo.clearAt.IsZero() || !s.passed(s.memo.clearAt.Add(s.p.Failover/4)) {
		return false, ReasonTelling, silent
	}
	return true, why, silent
}

// outdated reports whether the running check began before this node was in touch: it must end, so that a new one can begin.
func (s *scene) outdated() bool {
	return !s.v.Wire.Since.IsZero() && s.v.Wire.Since.Before(s.doubt())
}

// answered reports whether a peer answers on the wire: then this node will not claim on silence, however long it lasts.
func (s *scene) answered() bool {
	w := s.v.Wire
	return s.answeredSince(w.PeerAt) && w.Probes < unanswered-1 && !s.passed(w.PeerAt.Add(s.p.Failover))
}

// answering reports whether somebody answered the last probe: then somebody holds, whatever the peers know.
func (s *scene) answering() bool {
	w := s.v.Wire
	return !s.outdated() && w.Probes == 0 && (s.answeredSince(w.PeerAt) || s.answeredSince(w.ForeignAt))
}

// answeredSince reports whether an answer came in since the running check began.
func (s *scene) answeredSince(at time.Time) bool {
	return !s.v.Wire.Since.IsZero() && !at.IsZero() && !at.Before(s.v.Wire.Since)
}

// telling reports whether the beats of this node say that it will claim if the silence lasts: it does not hear the holder,
// hears others, sees no answer. A leader that hears these beats lets go (see unhearing). So that it has the time to, a claim
// on silence follows only after Failover/4 of telling; half of the budget of silence has room for that.
func (s *scene) telling() bool {
	self := s.v.Self
	if self.Wish || !self.LinkUp || !self.Fit || self.Leaving || !s.settled() {
		return false
	}
	if s.v.Wire.Since.IsZero() || s.outdated() || s.v.Wire.Deaf || s.answered() {
		return false
	}
	h, held := s.holder()
	return !held || s.quiet(h)
}

// silent names the peer whose silence this node acts on: the silent one with the newest term.
func (s *scene) silent() string {
	var best Peer
	for _, q := range s.peers {
		if !s.fresh(q) && !q.Left && (best.Name == "" || q.Term > best.Term || q.Term == best.Term && q.Name < best.Name) {
			best = q
		}
	}
	return best.Name
}
