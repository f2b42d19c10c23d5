package election

import "time"

// In quorum mode the votes alone decide who may hold: a claim waits for those of a majority, and who has lost them lets go. Nobody needs to be looked
// for on the wire, and nobody yields to a peer that does not hear it. Only beside nodes that hold without votes, or by those of other
// voters, as while a cluster is changed from one mode to the other, the rules of pair mode have to be kept as well.

// granted reports whether the votes of a majority allow this node to hold.
func (s *scene) granted() bool {
	if !s.p.Quorum {
		return false
	}
	till := s.v.Self.GrantedTill
	s.wakeAt(till)
	return s.now.Before(till)
}

// quorate reports whether this node hears a majority of its voters and is heard by them: whether asking makes sense.
func (s *scene) quorate() bool {
	n := 1
	for _, q := range s.peers {
		n += yes(q.Voter && s.fresh(q) && q.HearsMe)
	}
	return n > s.p.Voters/2
}

// votesWith reports whether q holds only by votes of the same voters: then it never holds together with this node.
func (s *scene) votesWith(q Peer) bool { return s.p.Quorum && q.Voter }

// byVotes reports whether votes are all that a claim needs.
func (s *scene) byVotes() bool {
	if !s.p.Quorum {
		return false
	}
	for _, q := range s.peers {
		if !q.Voter && !q.Witness && !q.Left && !q.HeardAt.IsZero() {
			return false
		}
	}
	return true
}

// outvoted peers need not be waited for: they could not get a majority.
func (s *scene) outvoted(q Peer) bool { return s.votesWith(q) && !(q.Quorate && q.HearsMe) }

// patient, in failover times, is how long a better candidate that asks is left alone: the voters' lease for the last holder, and some.
const patient = 4

// courtesy is the further wait while a better candidate asks: two that ask at the same time only take votes from each other.
func (s *scene) courtesy() time.Duration {
	if !s.p.Quorum {
		return 0
	}
	for _, q := range s.peers {
		if s.fresh(q) && q.Fit && q.Asks && !s.outvoted(q) && compare(s.standing(q), s.own()) < 0 {
			return patient * s.p.Failover
		}
	}
	return 0
}

// ask is the decision of a candidate whose turn it is.
func (s *scene) ask(peer string, check bool) Decision {
	d := s.stay(ReasonVoting, peer)
	if !s.quorate() {
		d = s.stay(ReasonNoQuorum, peer)
	}
	d.Check, d.Ask = check, d.Reason == ReasonVoting
	return d
}

// between reports whether this node is in the middle of a handover: silent on ARP and ND, waiting for its votes, or for them to come back after the order
// was cancelled. It answers those who already know the way, for no longer than the voters' lease for the other may last.
func (s *scene) between() bool {
	m := s.memo
	return !s.v.Self.Holds && !m.movedAt.IsZero() && !s.passed(m.movedAt.Add(s.p.Handover+patient*s.p.Failover))
}

// leaders counts the known peers that can lead.
func (s *scene) leaders() int {
	n := 0
	for _, q := range s.peers {
		n += yes(!q.Witness)
	}
	return n
}
