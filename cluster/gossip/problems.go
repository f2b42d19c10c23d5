package gossip

import "time"

// cause is something that keeps two nodes from being one cluster and that only people can mend.
type cause int

const (
	none          cause = iota
	wrongKey            // the cluster keys differ
	wrongName           // the cluster names differ
	twice               // two nodes have one name
	otherVersion        // the nodes do not understand each other's gossip: no member
	otherProtocol       // a member's beats and stream are of another version
	udpLost             // TCP passes, UDP does not
	otherConfig         // what must be equal on all nodes is not
)

func (c cause) String() string {
	return [...]string{"none", "cluster key", "cluster name", "node name", "version", "version", "udp", "configuration"}[c]
}

const (
	sayAgain = time.Minute      // a problem that lasts is told again after this
	gone     = 10 * time.Second // a problem not seen for this long is over; joins are tried far more often
	// maxProblems bounds the memory that forged sender addresses can take.
	maxProblems = 64
)

type problemKey struct {
	peer  string
	cause cause
}

type problem struct {
	began, seen, said time.Time
	lasting           bool // ends by word (clear), not by silence
}

// problems remembers what was told, so that each cause is told once per peer and minute, and again when it is over. Not for concurrent use.
type problems map[problemKey]*problem

// seen notes that a problem is there and reports whether to tell it.
func (p problems) seen(peer string, c cause, lasting bool, now time.Time) bool {
	k := problemKey{peer, c}
	e := p[k]
	if e == nil {
		if len(p) >= maxProblems {
			return false
		}
		p[k] = &problem{began: now, seen: now, said: now, lasting: lasting}
		return true
	}
	e.seen = now
	if now.Sub(e.said) < sayAgain {
		return false
	}
	e.said = now
	return true
}

// ended is a problem that is over, and how long it lasted.
type ended struct {
	problemKey
	took time.Duration
}

// clear ends the given problems of a peer and returns those that were there.
func (p problems) clear(peer string, now time.Time, causes ...cause) []ended {
	var out []ended
	for _, c := range causes {
		k := problemKey{peer, c}
		if e := p[k]; e != nil {
			out = append(out, ended{k, now.Sub(e.began)})
			delete(p, k)
		}
	}
	return out
}

// expire ends the problems that were not seen for a while.
func (p problems) expire(now time.Time) []ended {
	var out []ended
	for k, e := range p {
		if !e.lasting && now.Sub(e.seen) >= gone {
			out = append(out, ended{k, e.seen.Sub(e.began)})
			delete(p, k)
		}
	}
	return out
}
