package election_test

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// step is one turn of the process: what the election loop, the beat thread and the keeper of the VIP do.
func (n *node) step() {
	p, w := n.p, n.w
	if p == nil || p.paused > w.now {
		return
	}
	n.overslept()
	for _, m := range p.inbox {
		n.receive(m)
	}
	p.inbox = p.inbox[:0]
	if p.holds && !n.open() {
		p.holds, p.dirty = false, true
		n.late()
	}
	if p.opens != 0 && w.now >= p.opens {
		p.opens, p.holds, p.dirty = 0, true, true
		n.gate = w.now + ms(n.policy.Failover)
		w.sayf("%s is reachable", n.policy.Name)
	}
	beats := w.now >= p.beats
	if beats {
		p.beats = max(p.beats, w.now-beatEvery+1) + beatEvery
	}
	if beats && p.holds {
		n.gate = w.now + ms(n.policy.Failover)
	}
	n.checkWire()
	if link := n.power && n.carrier; link != p.self.LinkUp || n.fit != p.self.Fit || n.maint != p.self.Maintenance || n.rank != p.self.Rank || n.reach != p.self.Reach {
		p.self.LinkUp, p.self.Fit, p.self.Maintenance, p.self.Rank, p.self.Reach, p.dirty = link, n.fit, n.maint, n.rank, n.reach, true
	}
	if beats {
		n.clients()
	}
	if p.dirty || beats || !p.d.Wake.IsZero() && !at(w.now).Before(p.d.Wake) {
		n.decide()
	}
	if n.p != nil && beats {
		n.beat()
	}
}

func (n *node) overslept() {
	p, w := n.p, n.w
	slept := w.now - p.turn - 1
	p.turn = w.now
	if slept <= 0 {
		return
	}
	p.dirty = true
	if p.opens != 0 {
		p.opens = w.now + 1 // looked at again before it is finished
	}
	for i := range p.peers {
		if k := &p.peers[i]; k.heard > never {
			k.heard, k.direct = min(k.heard+slept, w.now), min(k.direct+slept, w.now)
		}
	}
	if slept > ms(n.policy.Failover) {
		n.late()
	}
}

func (n *node) late() {
	n.p.lateAt = n.w.now
	n.p.self.LateAt = at(n.w.now)
	n.p.opens = 0
}

func (n *node) receive(m packet) {
	p, k := n.p, &n.p.peers[m.from]
	switch m.kind {
	case aBeat:
		if !m.mirrored && m.beat.boot >= k.boot && (m.beat.boot > k.boot || m.beat.seq > k.directSeq) {
			k.direct, k.directSeq = max(k.direct, m.at), m.beat.seq
		}
		if m.beat.boot == k.boot && m.beat.seq <= k.seq || m.beat.boot < k.boot {
			return
		}
		p.dirty = p.dirty || k.crashed || k.left || k.heard == never || k.beat.changed(m.beat, n.id)
		k.boot, k.seq, k.beat, k.crashed, k.left = m.beat.boot, m.beat.seq, m.beat, false, false
		k.heard = max(k.heard, m.at)
		n.learn(max(m.beat.term, m.beat.newest))
	case aCrash:
		// The hint is confirmed by a connection that is refused.
		if n.w.nodes[m.from].p == nil && n.w.nodes[m.from].power && n.w.stream(n.id, m.from) {
			k.crashed, p.dirty = true, true
		}
	case aBye:
		k.left, p.dirty = true, true
	case aTake:
		p.self.Take = election.Take{From: n.w.nodes[m.from].policy.Name, Term: m.term, At: at(n.w.now), ByHand: m.byHand}
		p.dirty = true
	}
}

func (b beat) changed(c beat, to int) bool {
	return b.boot != c.boot || b.term != c.term || b.newest != c.newest || b.self.Holds != c.self.Holds || b.self.Fit != c.self.Fit || b.self.Rank != c.self.Rank || b.self.Reach != c.self.Reach ||
		b.self.Wants != c.self.Wants || b.hears[to] != c.hears[to] || b.self.Settling != c.self.Settling || b.self.Maintenance != c.self.Maintenance || b.self.Served != c.self.Served ||
		b.deafFor[to]/10 != c.deafFor[to]/10
}

func (n *node) checkWire() {
	p, w, c := n.p, n.w, &n.p.wire
	reach := n.third && n.rx && n.tx && n.carrier
	p.thirds = p.thirds || reach
	if !p.d.Check {
		if c.since != never {
			*c = wire{since: never, peerAt: never, foreignAt: never, thirdAt: never}
			p.dirty = true
		}
		return
	}
	if c.since == never {
		c.since, c.probed = w.now, never
		p.dirty = true
	}
	if w.now-c.probed < probeEvery {
		return
	}
	if c.unanswered {
		c.probes++
	}
	c.probed, c.unanswered, p.dirty = w.now, true, true
	if reach {
		c.thirdAt = w.now
	}
	for _, m := range w.nodes {
		if m == n || !m.open() || !w.passes(n.id, m.id) || !w.passes(m.id, n.id) || w.lost() || w.lost() {
			continue
		}
		c.probes, c.unanswered = 0, false
		if p.peers[m.id].heard > never {
			c.peerAt, c.peer = w.now, m.policy.Name
		} else {
			c.foreignAt = w.now
		}
	}
	if (w.foreign || n.foreign) && reach {
		c.probes, c.unanswered, c.foreignAt = 0, false, w.now
	}
}

// deaf: third parties answered once, were asked since the check began, and were not heard since.
func (n *node) deaf() bool {
	c := n.p.wire
	return n.p.thirds && c.since != never && n.w.now >= c.since+probeEvery && c.thirdAt < c.since
}

// clients keeps Served.
func (n *node) clients() {
	p, w := n.p, n.w
	all, held := true, false
	for i := range w.nodes {
		k := p.peers[i]
		if i == n.id {
			continue
		}
		all = all && w.now-k.heard < ms(n.policy.Failover)/2
		held = held || k.beat.self.Holds
	}
	switch {
	case !p.holds, all && !held:
		p.self.Served = false
	case !all && n.third && n.rx && n.carrier && w.rng.Float64() < w.serves:
		p.self.Served = true
	}
}

func (n *node) view() election.View {
	p, w := n.p, n.w
	p.self.Holds = p.holds
	v := election.View{Self: p.self, Expected: len(w.nodes) - 1, Memo: p.d.Memo, Peers: p.seen[:0]}
	for i, m := range w.nodes {
		k := &p.peers[i]
		if i == n.id || k.heard == never {
			continue
		}
		q := k.beat.self
		q.Name, q.Priority, q.Member, q.HeardAt, q.Crashed, q.Left = m.policy.Name, m.policy.Priority, true, at(k.heard), k.crashed, k.left
		q.Term, q.Newest = k.beat.term, k.beat.newest
		q.HearsMe, q.DeafFor = k.beat.hears[n.id], time.Duration(k.beat.deafFor[n.id])*time.Millisecond
		v.Peers = append(v.Peers, q)
	}
	c := p.wire
	v.Wire = election.Wire{Since: at(c.since), Probes: c.probes, PeerAt: at(c.peerAt), PeerName: c.peer, ForeignAt: at(c.foreignAt), Deaf: n.deaf()}
	return v
}

func (n *node) decide() {
	p, w := n.p, n.w
	p.dirty = false
	v := n.view()
	d := election.Decide(n.policy, v, at(w.now))
	if w.now&15 == 0 {
		n.again(v, d)
	}
	n.tell(d)
	was := p.self.Wish
	p.d = d
	switch {
	case d.Hold && !was:
		p.self.Wish, p.self.WishAt, p.self.Term = true, at(w.now), d.Term
		n.learn(d.Term)
		n.disk.term = d.Term
		p.opens = w.now + 1 + w.rng.IntN(3)
		if w.onClaim != nil {
			w.onClaim(n, d)
		}
	case d.Hold && d.Term != p.self.Term:
		p.self.Term = d.Term
		n.learn(d.Term)
		n.disk.term = d.Term
	case !d.Hold && was:
		p.self.Wish, p.self.WishAt = false, at(w.now)
		p.holds, p.opens, n.gate, p.self.Served = false, 0, never, false
	}
	p.self.Holds = p.holds
	switch {
	case d.HandTo != "" && (p.self.Giving.To != d.HandTo || p.self.Giving.Term <= p.self.Term):
		n.give(d.HandTo, d.HandTerm, d.HandByHand)
	case p.self.Leaving && !d.Hold:
		n.p, n.gate = nil, never
		for _, m := range w.nodes {
			if m != n {
				n.message(m.id, aBye, 0, false)
			}
		}
		w.sayf("%s says bye and ends", n.policy.Name)
	}
}

// again holds Decide to its word that it is idempotent, with what it said fed back.
func (n *node) again(v election.View, d election.Decision) {
	v.Memo = d.Memo
	if d.Hold != v.Self.Wish {
		v.Self.Wish, v.Self.WishAt = d.Hold, at(n.w.now)
	}
	if d.Hold {
		v.Self.Term = d.Term
		v.Self.Newest = max(v.Self.Newest, d.Term)
	}
	e := election.Decide(n.policy, v, at(n.w.now))
	if e.Hold != d.Hold || e.Term != d.Term {
		n.w.failf("%s decided {hold %v term %d %q}, and asked again at the same moment {hold %v term %d %q}", n.policy.Name, d.Hold, d.Term, string(d.Reason), e.Hold, e.Term, string(e.Reason))
	}
}

// tell says what is new in a decision.
func (n *node) tell(d election.Decision) {
	w, old := n.w, n.p.d
	if w.say == nil {
		return
	}
	if d.Hold != old.Hold || d.Reason != old.Reason || d.Peer != old.Peer || d.Hold && d.Term != old.Term {
		what := "does not hold"
		switch {
		case d.Hold && !old.Hold:
			what = "claims"
		case d.Hold:
			what = "holds"
		case old.Hold:
			what = "lets go"
		}
		if d.Hold {
			what += " term " + itoa(d.Term)
		}
		who := ""
		if d.Peer != "" {
			who = ", " + d.Peer
		}
		w.sayf("%s %s: %s (%s%s)", n.policy.Name, what, d.Reason, string(d.Reason), who)
	}
	if d.HandTo != "" && d.HandTo != old.HandTo {
		w.sayf("%s asks %s to take over", n.policy.Name, d.HandTo)
	}
	if d.Wants && !old.Wants {
		w.sayf("%s would take over", n.policy.Name)
	}
}

func itoa(u uint64) string {
	if u < 10 {
		return string(rune('0' + u))
	}
	return itoa(u/10) + itoa(u%10)
}

func (n *node) beat() {
	p, w := n.p, n.w
	p.seq++
	switch {
	case !p.holds:
		p.told = 0
	case p.told == 0:
		p.told = w.now
	}
	b := beat{boot: p.boot, seq: p.seq, term: p.self.Term, newest: p.self.Newest}
	b.self = election.Peer{
		Holds: p.holds, Fit: n.fit && n.carrier && !n.maint, Maintenance: n.maint, ByHand: p.d.ByHand, Rank: n.rank, Reach: n.reach, Wants: p.d.Wants, HearsOthers: !n.deaf(),
		Served: p.self.Served, Late: p.d.Late, Answered: p.d.Answered, Yields: p.d.Yields, Settling: !p.d.Settled, Leaving: p.self.Leaving,
	}
	for i := range w.nodes {
		k := p.peers[i]
		if i == n.id {
			continue
		}
		b.deafFor[i] = w.now - max(k.heard, p.started)
		b.directFor[i] = w.now - max(k.direct, p.started)
		b.hears[i] = k.heard > never && b.deafFor[i] < ms(n.policy.Failover)/2
	}
	for i := range w.nodes {
		if i != n.id && w.ipPasses(n.id, i) && !w.lost() {
			w.send(packet{from: n.id, to: i, kind: aBeat, beat: b}, w.rng.IntN(3))
		}
		if i != n.id && n.isApart(i) && w.mirrorPasses(n.id, i) && !w.mirrorsLose() {
			w.send(packet{from: n.id, to: i, kind: aBeat, beat: b, mirrored: true}, 1+w.rng.IntN(3))
		}
	}
}

// isApart is when beats go by mirrors too.
func (n *node) isApart(i int) bool {
	p, now, k := n.p, n.w.now, &n.p.peers[i]
	deaf := 0
	if age := now - k.heard; age < ms(n.policy.Failover) {
		deaf = k.beat.directFor[n.id] + age
	}
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	return k.apart.Look(n.policy.Failover, at(now), at(now-max(k.direct, p.started)), at(deaf))
}
