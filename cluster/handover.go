package cluster

import (
	"context"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/peer"
)

const (
	// quietStep is how often a leader that hands over looks for a moment without a request in flight.
	quietStep = 100 * time.Microsecond
	// quietWait bounds the search for such a moment.
	quietWait = 25 * time.Millisecond
	// passWait is how long after its order connections are passed on to the old leader: the order may take 200 ms, and then it serves for graceWait and resetWait.
	passWait = 200*time.Millisecond + graceWait + resetWait
)

// A handover, seen from the leader (L) and the standby (S):
//
//	L Take(term) → S adds the VIP and answers IP, silent on ARP and ND → Ready → L waits for a moment without a request
//	in flight, points the segment at S, falls silent on ARP and ND → Go → S answers ARP and ND, announces, and its beat
//	says that it holds → L answers the requests that it has in flight (graceWait), resets what is left, and releases.
//
// At every step the VIP is answered by one of them; if S does not hold in time, L cancels with a newer term and goes on.

// hear takes in a message of a peer.
func (n *Node) hear(ctx context.Context, m peer.Message) {
	now := time.Now()
	n.learnFrom(m)
	switch m.Kind {
	case peer.Take:
		if m.Term < n.newest {
			n.log.Info("dropped an old order to take over", "peer", m.From, "term", m.Term, "newest", n.newest)
			return
		}
		n.take = election.Take{From: m.From, Term: m.Term, At: now, ByHand: len(m.Data) > 0}
		n.readySent, n.released = false, false
		n.readyAt, n.goAt = time.Time{}, time.Time{}
	case peer.Ready:
		n.ready = n.ready || n.giving.To == m.From && n.giving.Term == m.Term
	case peer.Go:
		if n.take.From == m.From && n.take.Term == m.Term && !n.released {
			n.released, n.goAt = true, now
		}
	case peer.Word:
		n.heardWord(ctx, m)
	case peer.Answer:
		n.heardAnswer(m)
	case peer.Cancel:
		if n.take.From == m.From && m.Term > n.take.Term {
			n.log.Info("order to take over was cancelled", "peer", m.From, "term", m.Term)
			n.take = election.Take{}
		}
	}
}

// learnFrom takes the term out of a message, except of Take: that one is judged against what was known before.
func (n *Node) learnFrom(m peer.Message) {
	if m.Kind != peer.Take {
		n.learn(m.Term)
	}
}

// give carries on a handover that this node, as the leader, wants or has begun.
func (n *Node) give(ctx context.Context, d election.Decision, now time.Time) {
	switch {
	case n.giving.To == "" && d.HandTo != "":
		n.giving = election.Giving{To: d.HandTo, Term: d.HandTerm, At: now}
		n.ready, n.going = false, false
		n.Traffic.SetClosing(true)
		n.learn(d.HandTerm)
		n.log.Info("handing over", "peer", d.HandTo, "term", d.HandTerm)
		m := peer.Message{Kind: peer.Take, Term: d.HandTerm}
		if d.HandByHand {
			m.Data = []byte{1}
		}
		n.send(ctx, d.HandTo, m)
	case n.giving.To == "":
	case !d.Hold && n.resetting(now): // the peer holds; this node answers IP a moment longer
	case !d.Hold:
		n.endGiving()
	case d.Term > n.giving.Term:
		n.cancel(ctx, d.Term, now)
	case n.ready && !n.going && (n.Traffic.Active() == 0 || now.Sub(n.giving.At) > quietWait):
		n.going = true
		n.point(n.giving.To)
	}
}

// point moves the segment to the new leader in the very moment in which no request is in flight; its own announcement comes a message later.
func (n *Node) point(to string) {
	macs := n.macs[to]
	if len(macs) == 0 {
		return
	}
	if err := n.VIP.Point(macs); err != nil {
		n.log.Warn("could not point the segment at the new leader", "peer", to, "err", err)
	}
}

// silenced sends Go once this node has fallen silent on ARP and ND.
func (n *Node) silenced(ctx context.Context, f Facts) {
	if n.going && f.Quiet && n.ready {
		n.ready = false
		if n.Votes != nil {
			n.Votes.Hurry() // the voters are free for the peer
		}
		n.send(ctx, n.giving.To, peer.Message{Kind: peer.Go, Term: n.giving.Term})
	}
}

// cancel takes an order back: the election has claimed anew, with a term newer than the order's, so that whoever acted on it yields.
func (n *Node) cancel(ctx context.Context, term uint64, now time.Time) {
	to, pointed := n.giving.To, n.going
	n.log.Warn("handover cancelled: the peer did not hold in time", "peer", to, "term", term, "waited", now.Sub(n.giving.At).Round(time.Millisecond))
	n.endGiving()
	n.send(ctx, to, peer.Message{Kind: peer.Cancel, Term: term})
	if pointed {
		n.VIP.Announce("handover cancelled")
	}
}

// taking reports whether this node, ordered to take over, must still be silent on ARP and ND: until the old leader says
// that it is, or is seen not to hold any more.
func (n *Node) taking(v election.View, now time.Time) bool {
	if n.take.Term == 0 || n.take.Term != n.term || n.released {
		return false
	}
	for _, p := range v.Peers {
		if p.Name == n.take.From {
			return p.Holds && !p.Crashed && now.Sub(p.HeardAt) < n.Policy.Failover
		}
	}
	return false
}

// after names the node that has ordered this one to take over, while it may still serve the clients that it had.
func (n *Node) after(now time.Time) string {
	if n.take.Term != n.term || now.Sub(n.take.At) > passWait {
		return ""
	}
	return n.take.From
}

// prepared sends Ready once the VIP answers IP here.
func (n *Node) prepared(ctx context.Context, f Facts) {
	if f.Quiet && !n.readySent && n.take.Term == n.term && n.take.Term != 0 {
		n.readySent, n.readyAt = true, time.Now()
		n.send(ctx, n.take.From, peer.Message{Kind: peer.Ready, Term: n.take.Term})
	}
}
