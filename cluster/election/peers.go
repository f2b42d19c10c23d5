package election

import (
	"cmp"
	"time"
)

// fresh peers are heard; what they say counts.
func (s *scene) fresh(q Peer) bool {
	return !q.Crashed && !q.Left && !q.HeardAt.IsZero() && s.now.Sub(q.HeardAt) < s.p.Failover
}

// holder is the fresh peer that holds; of several the one with the newest term.
func (s *scene) holder() (Peer, bool) {
	var best Peer
	found := false
	for _, q := range s.peers {
		if s.fresh(q) && q.Holds && (!found || cmp.Or(cmp.Compare(best.Term, q.Term), cmp.Compare(q.Name, best.Name)) < 0) {
			best, found = q, true
		}
	}
	return best, found
}

func (s *scene) peer(name string) (Peer, bool) {
	for _, q := range s.peers {
		if q.Name == name {
			return q, true
		}
	}
	return Peer{}, false
}

// unhearing finds a fresh peer that does not hear this node but hears others: it is about to claim, and nothing that this
// node says can keep it from that. A peer that hears nobody at all gets nothing, one that sees an answer on the wire will
// not claim, and one that has only just begun to say so may not have had the time to hear us (grace): a node that was deaf hears
// the chatter of others some milliseconds before the next beat.
func (s *scene) unhearing(grace time.Duration) (Peer, bool) {
	for _, q := range s.peers {
		if !s.fresh(q) || q.Holds || !q.Fit || q.Settling || q.Leaving || q.Answered || s.votesWith(q) {
			continue
		}
		if q.HearsMe || !q.HearsOthers || q.DeafFor < s.p.Failover*3/4 {
			continue
		}
		if s.passed(s.contact(q).alone.Add(grace)) {
			return q, true
		}
	}
	return Peer{}, false
}

// accounted reports whether the last claim is known to have ended: its owner is heard and does not hold, or is dead, or has
// left. Then nobody needs to be looked for on the wire. Where the owner is unknown, or this node itself, every peer must be
// accounted for. What a peer said longer ago than failover/4, or before it knew of the newest term (gossip may be quicker than its beats), does not
// count: it may have claimed since. It assumes that no fresh peer holds.
func (s *scene) accounted() (ok bool, why Reason, peer string) {
	if s.memo.late || s.memo.despite {
		return false, "", ""
	}
	why = ReasonVacant
	doubt := s.doubt()
	known, owners := 0, 0
	for _, q := range s.peers {
		ok := q.HeardAt.After(doubt) && (q.Crashed || q.Left || s.fresh(q) && max(q.Term, q.Newest) >= s.newest && !s.passed(q.HeardAt.Add(s.p.Failover/4)))
		owner := q.Term == s.newest && s.newest > 0
		switch {
		case owner && !ok:
			return false, "", ""
		case ok && q.Crashed && (owner || owners == 0):
			why, peer = ReasonCrashed, q.Name
		case ok && q.Left && (owner || owners == 0):
			why, peer = ReasonLeft, q.Name
		case owner:
			why, peer = ReasonVacant, ""
		}
		known += yes(ok && !q.Witness)
		owners += yes(owner)
	}
	if owners > 0 && s.v.Self.Term != s.newest {
		return true, why, peer
	}
	return known >= max(s.v.Expected, 1), why, peer
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}
