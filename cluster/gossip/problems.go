package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

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
	strangerKey         // somebody who is no configured peer has another key
	strangerName        // the same, of another cluster
)

func (c cause) String() string {
	return [...]string{"none", "cluster key", "cluster name", "node name", "version", "version", "udp", "configuration", "cluster key", "cluster name"}[c]
}

const (
	sayAgain = time.Minute      // a problem that lasts is told again after this
	gone     = 10 * time.Second // a problem not seen for this long is over; joins are tried far more often
	// longAway is how long a problem with a node that is gone is remembered, so that its end is told when the node comes back without it.
	longAway = 10 * time.Minute
	// maxProblems bounds the memory that forged sender addresses can take.
	maxProblems = 64
)

type problemKey struct {
	peer  string
	cause cause
}

type problem struct {
	began, seen, said time.Time
	lasting           bool      // ends by word (clear), not by silence
	away              time.Time // of a lasting one: since when its node is gone; zero: it is there
	node, reason      string    // as last seen
}

// problems remembers what was told, so that each cause is told once per peer and minute, and again when it is over. Not for concurrent use.
type problems map[problemKey]*problem

// seen notes that a problem is there and reports whether to tell it.
func (p problems) seen(peer string, c cause, node, reason string, lasting bool, now time.Time) bool {
	k := problemKey{peer, c}
	e := p[k]
	if e == nil {
		if len(p) >= maxProblems {
			return false
		}
		p[k] = &problem{began: now, seen: now, said: now, lasting: lasting, node: node, reason: reason}
		return true
	}
	e.seen, e.away, e.node, e.reason = now, time.Time{}, node, reason
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
		if !e.away.IsZero() && now.Sub(e.away) >= longAway {
			delete(p, k) // without a word: nobody knows
		}
	}
	return out
}

// leave notes that a peer is gone: what lasts cannot be seen for now.
func (p problems) leave(peer string, now time.Time) {
	for k, e := range p {
		if k.peer == peer && e.lasting {
			e.away = now
		}
	}
}

// Problem is something that keeps a peer from being a full member and that only people can mend.
type Problem struct {
	Addr string // of the peer: host and port, or the host alone
	Text string // what is wrong and what to do, in one sentence
}

// open returns the sentences for the problems that are there now, sorted. Strangers are left out.
func (p problems) open() []Problem {
	var out []Problem
	for k, e := range p {
		if !e.away.IsZero() {
			continue
		}
		if text := sentence(k, e); text != "" {
			out = append(out, Problem{k.peer, text})
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Text, b.Text) })
	return out
}

func sentence(k problemKey, e *problem) string {
	host := k.peer
	if a, err := netip.ParseAddrPort(host); err == nil {
		host = a.Addr().String()
	}
	switch k.cause {
	case wrongKey:
		return host + " has another key (" + e.reason + "): copy one cluster.key_file to both nodes and restart"
	case wrongName:
		return host + " is of another cluster (" + e.reason + "): give both nodes the same cluster.name, or take it out of cluster.peers"
	case twice:
		return fmt.Sprintf("%s uses the name %s too: give each node its own", host, e.node)
	case otherVersion, otherProtocol:
		return host + " does not fit (" + e.reason + "): install the same version of tandem on all nodes"
	case udpLost:
		return "TCP from " + e.node + " passes but UDP does not: let UDP pass between the nodes on the ports of cluster.bind and the next one"
	case none, otherConfig, strangerKey, strangerName: // the status tells of other configurations by itself
	}
	return ""
}
