package election

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

// patient, in failover times, is longer than the voters' lease for another can last.
const patient = 4

// elect is the decision of a node that would lead if a majority lets it. It stands, and says so; every voter favours the best of those who stand that it is in
// touch with; and only who is favoured by a majority asks for the votes. Binding votes are so never given to two who then have none
// left, and a candidate that cannot win keeps none from another.
func (s *scene) elect(peer string, check bool) Decision {
	switch {
	case s.granted():
		return s.claim(s.next(), ReasonElected, peer)
	case !s.quorate():
		d := s.stay(ReasonNoQuorum, peer)
		d.Check = check
		return d
	}
	why, votes := ReasonVoting, 1
	if best := s.favourite(true); best != s.p.Name {
		why, peer, votes = ReasonBetter, best, 0
	}
	for _, q := range s.peers {
		votes += yes(q.Voter && s.fresh(q) && q.FavoursMe)
	}
	d := s.stay(why, peer)
	d.Stands, d.Ask, d.Check = true, votes > s.p.Voters/2, check
	return d
}

// favourite is the best of those who stand, this node included if it does, that this node and they hear each other; empty while somebody holds by the votes.
func (s *scene) favourite(stands bool) string {
	if !s.p.Quorum || s.v.Self.Wish {
		return ""
	}
	best := standing{}
	if stands {
		best = s.own()
	}
	for _, q := range s.peers {
		switch {
		case !q.Voter || !s.fresh(q):
		case q.Holds:
			return ""
		case q.Stands && q.HearsMe && (best.name == "" || compare(s.standing(q), best) < 0):
			best = s.standing(q)
		}
	}
	return best.name
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
