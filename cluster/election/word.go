package election

import (
	"cmp"
	"slices"
	"time"
)

// The operator's word: it wins over preemption and ranking, and over nothing that is a matter of safety.

// byHand reports whether this node's present hold is an operator's word.
func (s *scene) byHand() bool { return s.memo.why == ReasonByHand }

// asked reports whether there is a word of an operator that this node, which leads, should follow now. Every word gets one attempt: whoever asked
// is told how it ended, and may ask again.
func (s *scene) asked() bool {
	w := s.v.Self.Word
	switch {
	case w.To == "", !w.At.After(latest(s.memo.movedAt, s.v.Self.WishAt)), s.passed(w.At.Add(s.p.Handover)):
		return false
	case w.To == s.p.Name:
		return w.ByHand && !s.byHand()
	}
	return s.obstacle(w.To) == ""
}

// obey follows the operator's word.
func (s *scene) obey() Decision {
	w := s.v.Self.Word
	if w.To == s.p.Name {
		s.memo.why, s.memo.whyPeer, s.memo.handRank = ReasonByHand, "", s.v.Self.unfit()
		return s.hold(s.term(), ReasonByHand, "")
	}
	d := s.hold(max(s.v.Self.Term, 1), ReasonHanding, w.To)
	d.HandTo, d.HandTerm, d.HandByHand = w.To, s.next(), w.ByHand
	return d
}

// Obstacle is what keeps a peer from taking the VIP over now, in a word that stays the same; empty: nothing. String gives the sentence.
type Obstacle string

// What can keep a peer from taking over.
const (
	ObstacleUnknown     Obstacle = "unknown"
	ObstacleUnheard     Obstacle = "never-heard"
	ObstacleLeft        Obstacle = "left"
	ObstacleCrashed     Obstacle = "crashed"
	ObstacleSilent      Obstacle = "silent"
	ObstacleMaintenance Obstacle = "maintenance"
	ObstacleLeaving     Obstacle = "leaving"
	ObstacleUnfit       Obstacle = "unfit"
	ObstacleSettling    Obstacle = "settling"
	ObstacleDeaf        Obstacle = "deaf"
	ObstacleHolds       Obstacle = "holds"
	ObstacleWitness     Obstacle = "witness"
	ObstacleNoQuorum    Obstacle = "no-quorum"
)

// String says it of a node, as in "lb2 is silent".
func (o Obstacle) String() string {
	switch o {
	case ObstacleUnknown:
		return "is not a node of this cluster"
	case ObstacleUnheard:
		return "was never heard by beat"
	case ObstacleLeft:
		return "has said goodbye and stopped"
	case ObstacleCrashed:
		return "has crashed"
	case ObstacleSilent:
		return "is silent"
	case ObstacleMaintenance:
		return "is in maintenance"
	case ObstacleLeaving:
		return "is stopping"
	case ObstacleUnfit:
		return "is unfit to lead"
	case ObstacleSettling:
		return "has just started and still listens"
	case ObstacleDeaf:
		return "does not hear this node"
	case ObstacleHolds:
		return "holds already"
	case ObstacleWitness:
		return "is a witness, which never leads"
	case ObstacleNoQuorum:
		return "does not hear a majority of the voters"
	}
	return string(o)
}

func (s *scene) obstacle(name string) Obstacle {
	q, ok := s.peer(name)
	switch {
	case !ok:
		return ObstacleUnknown
	case q.Left:
		return ObstacleLeft
	case q.HeardAt.IsZero():
		return ObstacleUnheard
	case q.Crashed:
		return ObstacleCrashed
	case !s.fresh(q):
		return ObstacleSilent
	case q.Witness:
		return ObstacleWitness
	case q.Maintenance:
		return ObstacleMaintenance
	case q.Leaving:
		return ObstacleLeaving
	case !q.Fit:
		return ObstacleUnfit
	case q.Settling:
		return ObstacleSettling
	case !q.HearsMe:
		return ObstacleDeaf
	case q.Holds:
		return ObstacleHolds
	case q.Votes && !q.Quorate:
		return ObstacleNoQuorum
	}
	return ""
}

// Candidate is a peer, and what keeps it from taking the VIP over now.
type Candidate struct {
	Name     string
	Obstacle Obstacle
}

// Candidates lists the peers: first those that can take over from this node now, the best of them first, then the others by name.
func Candidates(p Policy, v View, now time.Time) []Candidate {
	s := scene{p: sane(p), v: v, now: now}
	s.survey()
	peers := slices.Clone(s.peers)
	slices.SortFunc(peers, func(a, b Peer) int {
		oa, ob := s.obstacle(a.Name), s.obstacle(b.Name)
		switch {
		case oa == "" && ob == "":
			return compare(s.standing(a), s.standing(b))
		case oa == "":
			return -1
		case ob == "":
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	list := make([]Candidate, len(peers))
	for i, q := range peers {
		list[i] = Candidate{q.Name, s.obstacle(q.Name)}
	}
	return list
}
