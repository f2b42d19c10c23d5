package cluster

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// watched is what the loop remembers of a peer between turns, beyond the snapshots.
type watched struct {
	state     PeerState
	arrivedAt time.Time // of its newest beat
	beat      pulse.Peer
	askedFor  time.Time // the break of the stream that was asked about last
	crashedAt time.Time // the break of the stream that was confirmed
	goneAt    time.Time // when this node knew that it is not there; zero: it is
	held      bool      // by its newest beat
	heldSince time.Time
	freeAt    time.Time // arrival of its newest beat that said that it does not hold
	whole     bool      // by its newest beat its listeners are open
	near      bool      // alive at the previous turn
}

// served remembers whether clients came to this node while a peer was silent: when two holders meet, the one with the clients stays.
type served struct {
	apart bool
	base  uint64
	yes   bool
}

// look gathers the snapshots into a View.
func (n *Node) look(ctx context.Context, now time.Time) (election.View, Facts) {
	facts := n.VIP.Facts()
	members := n.Gossip.Snapshot()
	n.learnMACs(members)
	v := election.View{Expected: n.Expected, Wire: facts.Wire, Memo: n.decided.Memo}
	v.Wire.PeerName = n.nameOf(facts.PeerMAC)
	v.Peers = n.lookAtPeers(ctx, members, now)
	n.lookAtSelf(&v, facts, members, now)
	if n.Votes != nil {
		v.Self.GrantedTill = n.Votes.Granted()
	}
	return v, facts
}

func (n *Node) lookAtSelf(v *election.View, facts Facts, members []gossip.Member, now time.Time) {
	if facts.LostAt.After(n.lateAt) {
		n.lateAt = facts.LostAt
	}
	if c := n.Traffic.Accepted(); c != n.accepted {
		n.accepted, n.clientAt = c, now
	}
	fit := n.Fitness()
	n.judged(fit, now)
	v.Self = election.Self{
		Started: n.started, Holds: facts.Holds, Wish: n.wish, WishAt: n.wishAt,
		Term: n.term, Newest: n.newest, LinkUp: facts.LinkUp, Fit: fit.Fit, Rank: fit.Rank, Reach: fit.Slow + n.comparable(fit.Reach, members),
		LateAt: n.lateAt, ClientAt: n.clientAt, Served: n.countServed(v.Peers, now),
		Leaving: n.leaving, Take: n.take, Giving: n.giving,
	}
}

func (n *Node) lookAtPeers(ctx context.Context, members []gossip.Member, now time.Time) []election.Peer {
	byName := map[string]election.Peer{}
	for _, m := range members {
		byName[m.Name] = election.Peer{
			Name: m.Name, Member: m.State == gossip.Alive || m.State == gossip.Suspect, Priority: int(m.Meta.Priority),
			Left: m.State == gossip.Left,
		}
		n.learn(m.Meta.Term)
	}
	streams := n.Streams.States()
	for name, b := range n.Pulse.Snapshot() {
		w := n.watch(name)
		if b.Beat.Holds && !w.held {
			w.heldSince = time.Time{}
			if !w.arrivedAt.IsZero() {
				w.heldSince = now // this node has seen it begin
			}
		}
		w.arrivedAt, w.beat = b.ArrivedAt, b
		if !b.Beat.Holds {
			w.freeAt = b.ArrivedAt
		}
		w.held, w.whole = b.Beat.Holds, !b.Beat.Refuses
		s := streams[name]
		n.ask(ctx, name, w, s, now)
		n.learn(b.Beat.Newest)
		n.learn(b.Beat.Term)
		byName[name] = election.Peer{
			Name: name, Member: byName[name].Member, HeardAt: b.HeardAt,
			Crashed:  !w.crashedAt.IsZero() && !b.ArrivedAt.After(w.crashedAt),
			Left:     s.ByeAt.After(b.ArrivedAt),
			Priority: int(b.Beat.Priority), Holds: b.Beat.Holds, Term: b.Beat.Term, Newest: b.Beat.Newest,
			Fit: b.Beat.Fit, Rank: int(b.Beat.Rank), Reach: int(b.Beat.Slow) + n.comparable(int(b.Beat.Reach), members), Wants: b.Beat.Wants,
			HearsMe: b.HearsMe, DeafFor: b.DeafFor, HearsOthers: b.Beat.HearsOthers,
			Served: b.Beat.Served, Late: b.Beat.Late, Answered: b.Beat.Answered, Yields: b.Beat.Yields, Settling: b.Beat.Settling, Leaving: b.Beat.Leaving,
			Maintenance: b.Beat.Maintenance, ByHand: b.Beat.ByHand,
			Witness: b.Beat.Witness, Votes: b.Beat.Vote.Set != 0, Voter: n.Set != 0 && b.Beat.Vote.Set == n.Set,
			Quorate: b.Beat.Quorate, Stands: b.Beat.Stands, FavoursMe: b.Beat.Vote.Favours == n.Boot && n.Boot != 0,
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b election.Peer) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (n *Node) watch(name string) *watched {
	w := n.peers[name]
	if w == nil {
		w = &watched{}
		n.peers[name] = w
	}
	return w
}

// countServed compares the number of accepted clients with that at the moment when a peer fell silent. A yes stays until this node
// lets go, or hears every peer and none of them holds: both sides of a meeting compare it, so it must not fall while they meet.
func (n *Node) countServed(peers []election.Peer, now time.Time) bool {
	apart, met := false, false
	for _, p := range peers {
		fresh := now.Sub(p.HeardAt) < n.Policy.Failover
		apart = apart || !fresh
		met = met || (fresh && p.Holds)
	}
	s := &n.served
	switch {
	case !n.wish, !apart && !met:
		*s = served{}
	case apart && !s.apart:
		s.apart, s.base = true, n.Traffic.Accepted()
	case apart:
		s.yes = s.yes || n.Traffic.Accepted() > s.base
	}
	return s.yes
}

// learnMACs passes on the peers' link addresses: only they tell a peer's answer on the wire from a stranger's.
func (n *Node) learnMACs(members []gossip.Member) {
	var changed bool
	for _, m := range members {
		if len(m.Meta.MACs) == 0 || slices.EqualFunc(m.Meta.MACs, n.macs[m.Name], slices.Equal) {
			continue
		}
		n.macs[m.Name] = m.Meta.MACs
		changed = true
	}
	if changed {
		n.VIP.SetPeers(maps.Clone(n.macs))
		n.save()
	}
}

func (n *Node) nameOf(mac net.HardwareAddr) string {
	for name, macs := range n.macs {
		if slices.ContainsFunc(macs, func(m net.HardwareAddr) bool { return slices.Equal(m, mac) }) {
			return name
		}
	}
	return ""
}
