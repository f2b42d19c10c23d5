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

// Vote is the part of a beat that is about votes.
type Vote = quorum.Word

// rounds is how many of the newest questions are dated: more than are ever on their way.
const rounds = 64

// votes is what the beat thread keeps of them. Nil: pair mode.
type votes struct {
	cfg   *Votes
	booth quorum.Booth
	asked [rounds]asked
	word  Vote
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
	return &votes{cfg: cfg, booth: quorum.NewBooth(cfg.Set, boot, cfg.Lease, 3*every, cfg.Clock())}
}

// vote goes before the beat of that number.
func (t *thread) vote(now time.Time, round uint64, ask bool) {
	v := t.votes
	if v == nil {
		return
	}
	plea := quorum.None
	if v.cfg.Turn != nil {
		plea = v.cfg.Turn(now, round, v.booth.Round(), ask)
	}
	if plea == quorum.Ask {
		v.asked[round%rounds] = asked{round, now}
	}
	v.word = v.booth.Speak(plea, round, v.cfg.Clock())
	t.count()
}

// fill writes this node's word into a beat.
func (v *votes) fill(b *Beat) {
	if v != nil {
		favours := b.Vote.Favours
		b.Vote = v.word
		b.Vote.Favours = favours
	}
}

// hearVote takes the vote in a peer's newest beat. The rounds of a life come in rising order, because its beats do.
func (t *thread) hearVote(p *peerState) {
	v := t.votes
	if v == nil {
		return
	}
	if v.booth.Hear(p.beat.Vote, p.boot, p.seq, v.cfg.Clock()) {
		t.p.urgent.Store(true) // whoever waits for the vote is to know at once
	}
	t.count()
}

// count makes known what the votes come to.
func (t *thread) count() {
	v := t.votes
	t.p.board.vote.Store(v.booth.Granting(v.cfg.Clock()))
	best := v.booth.Round()
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
