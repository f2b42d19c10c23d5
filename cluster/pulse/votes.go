package pulse

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/quorum"
)

// Votes has beats carry votes.
type Votes struct {
	Set   quorum.Set
	Lease time.Duration // the voters', see quorum.Lease
	// Hold is how long after a round was asked for this node may believe that it holds by it, if no newer one is granted: a little less than the gate lets it.
	Hold time.Duration
	// Clock is the time since the host started: what a voter's lease is counted by.
	Clock func() time.Duration
	// Turn runs on the beat thread just before Tick, and must not block. Granted is the newest round that a majority has granted (0: none), to prolong the gate by;
	// with ask, the gate is armed for round, the one of the beat that is about to be sent. It returns what that beat says. Nil for a witness.
	Turn func(now time.Time, round, granted uint64, ask bool) quorum.Plea
	// Granted runs on the beat thread when a newer round has been granted, and must not block. Nil for a witness.
	Granted func(round uint64)
}

// Vote is the part of a beat that is about votes. The zero value is that of a node in pair mode.
type Vote struct {
	Set  uint64 // hash of the sender's voters; 0: pair mode
	Seat uint8  // the sender's among them
	Plea quorum.Plea
	// To is the life of a node that the sender's vote is granted to, 0 for nobody, and Round the newest that it is granted for.
	To    uint64
	Round uint64
}

// rounds is how many of the newest questions are dated: more than are ever on their way.
const rounds = 64

// votes is what the beat thread keeps of them. Nil: pair mode.
type votes struct {
	cfg   *Votes
	boot  uint64
	voter quorum.Voter
	tally quorum.Tally
	asked [rounds]asked
	plea  quorum.Plea
	best  uint64 // the newest round that was granted
}

type asked struct {
	round uint64
	at    time.Time
}

func newVotes(cfg *Votes, boot uint64, every time.Duration) *votes {
	if cfg == nil {
		return nil
	}
	return &votes{cfg: cfg, boot: boot, voter: quorum.NewVoter(cfg.Lease, 3*every, cfg.Clock()), tally: quorum.NewTally(cfg.Set)}
}

// vote goes before the beat of that number.
func (t *thread) vote(now time.Time, round uint64, ask bool) {
	v := t.votes
	if v == nil {
		return
	}
	v.plea = quorum.None
	if v.cfg.Turn == nil {
		return
	}
	v.plea = v.cfg.Turn(now, round, v.tally.Round(), ask)
	switch v.plea {
	case quorum.Ask:
		v.asked[round%rounds] = asked{round, now}
	case quorum.Free:
		v.tally.Free(round)
	case quorum.None:
	}
	v.voter.Hear(v.plea, v.boot, round, v.cfg.Clock())
	t.count(v.cfg.Set.Seat, v.own())
}

// own is the round that this node's own vote grants this node.
func (v *votes) own() uint64 {
	if to, round := v.voter.Granted(v.cfg.Clock()); to == v.boot {
		return round
	}
	return 0
}

// fill writes this node's word into a beat.
func (v *votes) fill(b *Beat) {
	if v == nil {
		return
	}
	to, round := v.voter.Granted(v.cfg.Clock())
	b.Vote = Vote{Set: v.cfg.Set.Hash, Seat: uint8(v.cfg.Set.Seat), Plea: v.plea, To: to, Round: round}
}

// hearVote takes the vote in a peer's newest beat. The rounds of a life come in rising order, because its beats do.
func (t *thread) hearVote(p *peerState) {
	v := t.votes
	if v == nil || p.beat.Vote.Set != v.cfg.Set.Hash || int(p.beat.Vote.Seat) == v.cfg.Set.Seat {
		return
	}
	w := p.beat.Vote
	if v.voter.Hear(w.Plea, p.boot, p.seq, v.cfg.Clock()) {
		t.p.urgent.Store(true) // whoever waits for the vote is to know at once
		t.count(v.cfg.Set.Seat, v.own())
	}
	if w.To != v.boot {
		w.Round = 0
	}
	t.count(int(w.Seat), w.Round)
}

// count counts a vote, and makes known what it comes to.
func (t *thread) count(seat int, round uint64) {
	v := t.votes
	v.tally.Hear(seat, round)
	to, _ := v.voter.Granted(v.cfg.Clock())
	t.p.board.vote.Store(to)
	best := v.tally.Round()
	if best == v.best {
		return
	}
	newer := best > v.best
	v.best = best
	till := int64(0)
	if a := v.asked[best%rounds]; best != 0 && a.round == best {
		till = int64(t.p.board.real(a.at) + v.cfg.Hold)
	}
	was := t.p.board.granted.Swap(till)
	if newer && v.cfg.Granted != nil {
		v.cfg.Granted(best)
	}
	if till == 0 || was < int64(t.p.board.real(time.Now())) {
		poke(t.p.changed)
	}
}

// Granted is until when this node may hold by the votes that it has been granted; zero or past: a majority is missing.
func (p *Pulse) Granted() time.Time {
	if t := p.board.granted.Load(); t != 0 {
		return p.board.base.Add(time.Duration(t))
	}
	return time.Time{}
}

// Hurry sends a beat as soon as that is possible.
func (p *Pulse) Hurry() {
	p.urgent.Store(true)
	p.wake()
}

// Granting is the life of a node that this node's own vote was granted to when it last changed; 0: nobody.
func (p *Pulse) Granting() uint64 { return p.board.vote.Load() }
