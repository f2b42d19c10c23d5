package quorum_test

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// loopTurn is a turn of the thread that decides: cluster.Node's step, and vip's loop.
func (p *process) loopTurn() []func() {
	n := p.n
	if n.clock()-p.turned > failover {
		p.self.LateAt = p.at(n.clock())
	}
	p.turned = n.clock()
	if p.mode == 'o' && !p.locked && n.clock()-p.proven > n.failover() {
		p.lose()
	}
	p.decide()
	if n.witness {
		return nil
	}
	quiet := p.d.Hold && (p.going || p.taking())
	var steps []func()
	gate := func(f func()) {
		steps = append(steps, func() {
			if p.blocked = p.locked; !p.locked {
				f()
			}
		})
	}
	round := uint64(0)
	switch {
	case !p.d.Hold && p.mode != 's':
		gate(func() { n.shut(); p.mode, p.armed, p.addressed = 's', false, false })
	case !p.d.Hold:
		p.addressed = false
	case p.mode == 's' && !p.addressed:
		n.w.after(time.Millisecond+n.w.within(2*time.Millisecond), func() { p.addressed = p.alive() && p.d.Hold; p.poke() })
	case quiet && p.mode == 'o':
		gate(func() { n.kernel.speaks = 0; p.mode = 'q' })
	case quiet && p.mode == 's':
		gate(func() { p.mode = 'q' })
	case !quiet && p.mode != 'o':
		gate(func() { round = p.booth.Round() })
		gate(func() {
			if round > p.used {
				p.used = round
				if n.tear(round, false) {
					p.mode, p.proven = 'o', n.clock()
				}
			}
		})
	}
	return append(steps, p.publish, func() { p.order() })
}

// taking: ordered to take over, this node is to be silent on ARP and ND until the old leader is.
func (p *process) taking() bool {
	t := p.self.Take
	if t.Term == 0 || t.Term != p.self.Term || p.released {
		return false
	}
	for _, m := range p.n.w.nodes {
		if q := p.peers[m.id]; m.name == t.From {
			return q.beat.self.Holds && p.n.clock()-q.heard < failover
		}
	}
	return false
}

func (p *process) publish() {
	was, had, favoured := p.asks, p.holds, p.favours
	p.favours = p.d.Favours
	p.asks = p.d.Ask && !p.going
	p.holds = p.mode == 'o' || p.mode == 'q' && p.going
	if p.asks != was || p.holds != had || p.favours != favoured {
		p.hurry()
	}
}

// order carries on a handover.
func (p *process) order() {
	n, d, g := p.n, p.d, p.self.Giving
	to := func(name string) *node {
		for _, m := range n.w.nodes {
			if m.name == name {
				return m
			}
		}
		return n
	}
	say := func(m string, kind byte, term uint64) { n.send(to(m), packet{from: n, kind: kind, term: term}) }
	switch {
	case g.To == "" && d.HandTo != "":
		p.self.Giving = election.Giving{To: d.HandTo, Term: d.HandTerm, At: p.at(n.clock())}
		p.self.Newest = max(p.self.Newest, d.HandTerm)
		p.ready, p.going = false, false
		n.w.sayf("%s hands over to %s", n.name, d.HandTo)
		say(d.HandTo, 't', d.HandTerm)
	case g.To == "":
	case !d.Hold:
		p.self.Giving, p.ready, p.going = election.Giving{}, false, false
	case d.Term > g.Term:
		p.self.Giving, p.ready, p.going = election.Giving{}, false, false
		say(g.To, 'c', d.Term)
	case p.ready && !p.going:
		p.going = true
		p.poke()
	}
	if p.going && p.mode == 'q' && p.ready {
		p.ready = false
		p.hurry()
		say(p.self.Giving.To, 'g', p.self.Giving.Term)
	}
	if t := p.self.Take; p.taking() && p.mode == 'q' && !p.told {
		p.told = true
		say(t.From, 'r', t.Term)
	}
	if p.self.Leaving && !d.Hold && p.mode == 's' {
		n.w.sayf("%s ends", n.name)
		n.p = nil
	}
}

// wire is the check of the wire, which matters only beside nodes of another set.
func (p *process) wire(now time.Duration) election.Wire {
	if !p.d.Check {
		p.checked = 0
		return election.Wire{}
	}
	if p.checked == 0 {
		p.checked = now
	}
	w := election.Wire{Since: p.at(p.checked), Probes: int((now - p.checked) / (20 * time.Millisecond))}
	for _, m := range p.n.w.nodes {
		if m != p.n && m.open() && !p.n.w.cut[p.n.id][m.id] && !p.n.w.cut[m.id][p.n.id] {
			w.Probes, w.PeerAt, w.PeerName = 0, p.at(now), m.name
		}
	}
	return w
}

func (p *process) decide() {
	n := p.n
	now := n.clock()
	p.self.Holds, p.self.Fit = p.mode == 'o', n.fit
	if r := p.booth.Round(); r != 0 && r+64 > p.seq {
		p.self.GrantedTill = p.at(p.asked[r%64] + n.failover() - n.failover()/8)
	} else {
		p.self.GrantedTill = time.Time{}
	}
	v := election.View{Self: p.self, Expected: len(n.voters) - 1, Memo: p.d.Memo}
	for i := range p.peers {
		q := &p.peers[i]
		if q.heard == 0 {
			continue
		}
		e := q.beat.self
		e.HeardAt, e.Voter = p.at(q.heard), q.beat.word.Set == p.set.Hash || n.w.blind
		e.FavoursMe = q.beat.word.Favours == p.boot
		if h := q.beat.hears[n.id]; h.boot == p.boot {
			e.HearsMe, e.DeafFor = h.age <= failover/2, h.age
		} else {
			e.DeafFor = time.Minute
		}
		v.Peers = append(v.Peers, e)
	}
	v.Wire = p.wire(now)
	was := p.d
	p.d = election.Decide(p.policy, v, p.at(now))
	if n.w.say != nil && (p.d.Hold != was.Hold || p.d.Reason != was.Reason) {
		n.w.sayf("%s: hold %v, %s, term %d, mode %c", n.name, p.d.Hold, string(p.d.Reason), p.d.Term, p.mode)
	}
	if p.d.Hold {
		p.self.Term = p.d.Term
		p.self.Newest = max(p.self.Newest, p.d.Term)
	}
	n.term = max(n.term, p.self.Newest)
	if p.d.Hold != p.self.Wish {
		p.self.Wish, p.self.WishAt = p.d.Hold, p.at(now)
	}
	if p.d.HandTo != "" && p.self.Giving.To == "" {
		n.w.met["handover"] = true
	}
}
