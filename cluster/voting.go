package cluster

import (
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

// voting is what was told of the votes.
type voting struct {
	lost    bool
	lostAt  time.Time
	differs map[string]bool // peers that have other voters
	twice   bool
}

// ballot is what the beats are to say of the votes.
func (n *Node) ballot(d election.Decision) pulse.Vote {
	v := pulse.Vote{Plea: quorum.Free}
	if d.Ask && !n.going {
		v.Plea = quorum.Ask
	}
	switch d.Favours {
	case "":
	case n.Policy.Name:
		v.Favours = n.Boot
	default:
		v.Favours = n.Pulse.Snapshot()[d.Favours].Beat.Boot
	}
	return v
}

// tellVotes logs when a majority of the voters can no longer be talked to, or again, and what must not be.
func (n *Node) tellVotes(v election.View, d election.Decision, now time.Time) {
	if !n.Policy.Quorum {
		return
	}
	w := &n.voting
	heard, missing := n.roll(v.Peers, now)
	switch {
	case !d.Settled: // it has only just begun to listen
	case !d.Quorate && !w.lost:
		w.lost, w.lostAt = true, now
		n.log.Warn("quorum lost", "voters", n.Policy.Voters, "heard", heard, "missing", missing, "holds", n.held)
	case d.Quorate && w.lost:
		w.lost = false
		n.log.Info("quorum regained", "voters", n.Policy.Voters, "heard", heard, "missing", missing, "took", now.Sub(w.lostAt).Round(time.Millisecond))
	}
	twice := false
	for _, p := range v.Peers {
		n.tellOtherVoters(p)
		twice = twice || p.Voter && p.Holds && n.held && p.Name != n.take.From && p.Name != n.giving.To && n.alive(p, now)
	}
	if twice && !w.twice {
		n.log.Error("two nodes hold by the same votes, which must not be: do two nodes have the same cluster.bind?", "node", n.Policy.Name, "term", n.term)
	}
	w.twice = twice
}

// tellOtherVoters logs that a peer has, or no longer has, other voters than this node.
func (n *Node) tellOtherVoters(p election.Peer) {
	w := &n.voting
	differs := p.Votes && !p.Voter
	if differs == w.differs[p.Name] {
		return
	}
	if w.differs == nil {
		w.differs = map[string]bool{}
	}
	w.differs[p.Name] = differs
	if differs {
		n.log.Warn("a peer has other voters, so that neither counts the other's vote: make cluster.peers and cluster.failover agree", "peer", p.Name)
	}
}

// roll counts the voters that this node hears and is heard by, itself included, and names the others that it knows.
func (n *Node) roll(peers []election.Peer, now time.Time) (heard int, missing string) {
	heard = 1
	known := 1
	var names []string
	for _, p := range peers {
		switch {
		case !p.Voter:
			continue
		case n.alive(p, now) && p.HearsMe:
			heard++
		default:
			names = append(names, p.Name)
		}
		known++
	}
	if known < n.Policy.Voters {
		names = append(names, "never heard: "+strconv.Itoa(n.Policy.Voters-known))
	}
	return heard, strings.Join(names, ", ")
}

func (n *Node) alive(p election.Peer, now time.Time) bool { return n.stateOf(p, now) == PeerAlive }

// Quorum is what a node knows of the votes; the zero value without Policy.Quorum.
type Quorum struct {
	Voters int // configured, this node included
	Heard  int // of them this node hears, and is heard by
	// Granted: a majority lets this node hold.
	Granted bool
	Votes   []Vote // of this node, then of its peers by name
}

// Vote is one voter's.
type Vote struct {
	Voter string
	To    string // whom it is granted to; empty: nobody; "?": a node that is not known, or no longer
}

func (n *Node) reportVotes(peers []election.Peer, now time.Time) Quorum {
	if n.Votes == nil {
		return Quorum{}
	}
	q := Quorum{Voters: n.Policy.Voters, Granted: now.Before(n.Votes.Granted())}
	q.Heard, _ = n.roll(peers, now)
	beats := n.Pulse.Snapshot()
	name := func(boot uint64) string {
		switch boot {
		case 0:
			return ""
		case n.Boot:
			return n.Policy.Name
		}
		for _, b := range beats {
			if b.Beat.Boot == boot {
				return b.Beat.Node
			}
		}
		return "?"
	}
	q.Votes = append(q.Votes, Vote{n.Policy.Name, name(n.Votes.Granting())})
	for _, p := range peers {
		if p.Voter {
			q.Votes = append(q.Votes, Vote{p.Name, name(beats[p.Name].Beat.Vote.To)})
		}
	}
	return q
}
