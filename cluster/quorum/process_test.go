package quorum_test

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// process is the daemon. It has two threads: one that beats and renews, one that decides and opens. Both may be held up at each of their steps, and the
// mutex of the lease keeps them apart while one of them changes the gate.
type process struct {
	n       *node
	boot    uint64
	booth   quorum.Booth
	set     quorum.Set
	policy  election.Policy
	inbox   []packet
	seq     uint64
	asked   map[uint64]time.Duration
	peers   [maxNodes]known
	beats   thread
	loop    thread
	locked  bool // the lease's mutex
	blocked bool // the loop found it so

	// The lease: vip/ballot.go.
	mode    byte // 's'hut, 'q'uiet, 'o'pen
	used    uint64
	granted uint64
	armed   bool
	proven  time.Duration
	turned  time.Duration // the loop's last turn
	lastAt  time.Duration // the beat thread's

	// The loop: cluster.Node.
	self           election.Self
	d              election.Decision
	asks           bool   // published
	favours        string // published
	holds          bool   // published
	going, ready   bool
	told, released bool
	addressed      bool // the addresses are on the link
	checked        time.Duration
}

// thread is where a thread is in its turn.
type thread struct {
	busy bool
	next bool // a turn is due when the present one has ended
	due  time.Duration
}

type known struct {
	boot, seq uint64
	heard     time.Duration // by the own clock; 0: never
	beat      packet
}

func (n *node) start() {
	if !n.power || n.p != nil {
		return
	}
	n.boots++
	n.shut() // what a former life left is swept
	p := &process{n: n, boot: uint64(1000*n.boots + n.id + 1), set: n.set(), mode: 's', asked: map[uint64]time.Duration{}, turned: n.clock(), lastAt: n.clock()}
	p.booth = quorum.NewBooth(p.set, p.boot, quorum.Lease(2*n.failover()), 3*every, n.clock())
	p.policy = election.Policy{
		Name: n.name, Priority: 100, Failover: n.failover(), Settle: settle, Stagger: failover, Handover: failover,
		Quorum: true, Witness: n.witness, Voters: p.set.Size,
	}
	p.self = election.Self{Started: p.at(n.clock()), Term: n.term, Newest: n.term, LinkUp: true, Fit: n.fit}
	n.p = p
	n.w.sayf("%s starts, life %d", n.name, p.boot)
	n.w.after(n.w.within(every), p.tick)
}

func (n *node) kill() {
	if n.p != nil {
		n.w.sayf("%s is killed, mode %c", n.name, n.p.mode)
	}
	n.p, n.paused = nil, 0
}

func (p *process) at(clock time.Duration) time.Time { return epoch.Add(clock) }

// alive: events of a process that was killed do nothing.
func (p *process) alive() bool { return p.n.p == p }

// tick is the beat thread's timer.
func (p *process) tick() {
	if !p.alive() {
		return
	}
	p.n.w.after(time.Duration(float64(every)/p.n.rate), p.tick)
	p.beats.due = p.n.clock()
	p.wake()
}

func (p *process) wake() { p.turn(&p.beats, p.beatTurn) }
func (p *process) poke() { p.turn(&p.loop, p.loopTurn) }

// turn begins a turn of a thread, or has one follow the present one.
func (p *process) turn(t *thread, steps func() []func()) {
	if t.busy {
		t.next = true
		return
	}
	t.busy = true
	p.steps(t, steps, nil)
}

// steps takes the steps of a turn. One of them may be held up, and none is taken while the process is paused.
func (p *process) steps(t *thread, begin func() []func(), rest []func()) {
	w := p.n.w
	switch {
	case !p.alive():
		return
	case p.n.paused > w.now:
		w.after(p.n.paused-w.now, func() { p.steps(t, begin, rest) })
		return
	case rest == nil:
		rest = begin()
	}
	for len(rest) > 0 {
		if w.chance(w.stall / 4) {
			w.met["a thread held up"] = true
			d := w.within([]time.Duration{5, 60, 300, 1500}[w.rng.IntN(4)] * time.Millisecond)
			w.stalls = max(w.stalls, w.now+d)
			w.after(d, func() { p.resume(t, begin, rest) })
			return
		}
		rest[0]()
		rest = rest[1:]
		if !p.alive() || w.failed != "" {
			return
		}
		if p.n.paused > w.now {
			w.after(p.n.paused-w.now, func() { p.resume(t, begin, rest) })
			return
		}
	}
	t.busy = false
	if t.next {
		t.next = false
		p.turn(t, begin)
	}
}

// resume takes the next step whatever the dice say.
func (p *process) resume(t *thread, begin func() []func(), rest []func()) {
	w := p.n.w
	switch {
	case !p.alive():
		return
	case p.n.paused > w.now:
		w.after(p.n.paused-w.now, func() { p.resume(t, begin, rest) })
		return
	case len(rest) > 0:
		rest[0]()
		rest = rest[1:]
	}
	if len(rest) == 0 {
		rest = []func(){func() {}}
	}
	p.steps(t, begin, rest)
}

// beatTurn is a turn of the thread that beats: pulse's thread, with vip's lease.vote.
func (p *process) beatTurn() []func() {
	p.drain()
	n := p.n
	if p.beats.due == 0 {
		return nil
	}
	p.beats.due = 0
	if n.witness {
		return []func(){func() { p.beat(quorum.None) }, p.breathe}
	}
	if n.clock()-p.turned >= failover {
		p.poke()
		return nil // not alive: nothing is renewed, nothing is said
	}
	plea := quorum.None
	free := p.locked
	if free {
		return []func(){func() { p.poke() }} // the loop changes the gate; the next beat will come
	}
	p.locked = true
	return []func(){
		func() { p.granted = p.booth.Round() },
		func() { p.renew() },
		func() { plea = p.plead(p.seq + 1) },
		func() { p.locked = false; p.beat(plea) },
		p.breathe,
	}
}

// breathe has the loop turn when it has not for a while, or found the gate locked.
func (p *process) breathe() {
	if p.blocked || p.n.clock()-p.turned > failover/8 {
		p.poke()
	}
}

// renew prolongs an open gate by the newest round that was granted.
func (p *process) renew() {
	switch {
	case p.mode != 'o':
	case p.n.clock()-p.proven > p.n.failover()+20*time.Millisecond:
		p.lose()
	case p.granted > p.used:
		p.used = p.granted
		if p.n.tear(p.granted, true) {
			p.proven = p.n.clock()
		}
	}
}

func (p *process) lose() {
	p.mode = 's'
	p.n.shut()
	p.armed = false
	p.self.LateAt = p.at(p.n.clock())
}

func (p *process) plead(round uint64) quorum.Plea {
	switch {
	case p.asks:
		p.n.arm(round)
		p.asked[round%64] = p.n.clock()
		p.armed = true
		return quorum.Ask
	case p.mode == 'o':
		return quorum.None
	}
	if p.armed {
		clear(p.n.kernel.tickets)
		p.armed = false
	}
	return quorum.Free
}

func (p *process) beat(plea quorum.Plea) {
	n := p.n
	p.seq++
	k := packet{from: n, boot: p.boot, seq: p.seq, word: p.booth.Speak(plea, p.seq, n.clock()), term: p.self.Newest}
	k.self = election.Peer{
		Name: n.name, Member: true, Priority: 100, Holds: p.holds, Term: p.self.Term, Newest: p.self.Newest, Fit: n.fit && !n.witness, HearsOthers: true,
		Late: p.d.Late, Settling: !p.d.Settled, Leaving: p.self.Leaving, Witness: n.witness, Votes: true, Quorate: p.d.Quorate, Yields: p.d.Yields, Stands: p.d.Stands,
	}
	for i, m := range n.w.nodes {
		switch p.d.Favours {
		case n.name:
			k.word.Favours = p.boot
		case m.name:
			k.word.Favours = p.peers[i].boot
		}
	}
	for i := range p.peers {
		if q := &p.peers[i]; q.heard != 0 {
			k.hears[i] = echo{q.boot, n.clock() - q.heard}
		}
	}
	for _, m := range n.voters {
		if m != n {
			n.send(m, k)
		}
	}
}

// drain takes what has arrived.
func (p *process) drain() {
	n := p.n
	now := n.clock()
	slept := now - p.lastAt
	p.lastAt = now
	if slept > 2*every {
		for i := range p.peers {
			if q := &p.peers[i]; q.heard != 0 {
				q.heard = min(q.heard+slept-every, now) // what was not listened to is no silence
			}
		}
	}
	for _, k := range p.inbox {
		if k.kind != 0 {
			p.message(k)
			continue
		}
		q := &p.peers[k.from.id]
		if k.boot < q.boot || k.boot == q.boot && k.seq <= q.seq {
			continue
		}
		news := q.heard == 0 || q.beat.self.Holds != k.self.Holds || q.beat.word.To != k.word.To || q.beat.word.Favours != k.word.Favours || q.beat.self.Stands != k.self.Stands
		*q = known{k.boot, k.seq, now, k}
		p.self.Newest = max(p.self.Newest, k.term, k.self.Term)
		before := p.booth.Round()
		if p.booth.Hear(k.word, k.boot, k.seq, now) {
			p.hurry()
		}
		if news || p.booth.Round() > before && (p.mode != 'o' || before == 0) {
			p.poke()
		}
	}
	p.inbox = p.inbox[:0]
}

// hurry sends a beat soon.
func (p *process) hurry() {
	p.n.w.after(time.Millisecond, func() {
		if p.alive() {
			p.beats.due = max(p.n.clock(), 1)
			p.wake()
		}
	})
}

func (p *process) message(k packet) {
	switch k.kind {
	case 't':
		if k.term >= p.self.Newest {
			p.self.Take = election.Take{From: k.from.name, Term: k.term, At: p.at(p.n.clock())}
			p.told, p.released = false, false
		}
	case 'r':
		p.ready = p.ready || p.self.Giving.To == k.from.name && p.self.Giving.Term == k.term
	case 'g':
		p.released = p.released || p.self.Take.From == k.from.name && p.self.Take.Term == k.term
	case 'c':
		if p.self.Take.From == k.from.name && k.term > p.self.Take.Term {
			p.self.Take = election.Take{}
		}
	}
	p.poke()
}
