package quorum

import "time"

// Word is what a beat says of votes. The zero value is that of a node in pair mode.
type Word struct {
	Set  uint64 // hash of the sender's voters; 0: pair mode
	Seat uint8  // the sender's among them
	Plea Plea
	// To is the life of a node that the sender's vote is granted to, 0 for nobody, and Round the newest that it is granted for.
	To    uint64
	Round uint64
	// Favours is the life of the candidate that the sender's vote should go to; it binds nobody.
	Favours uint64
}

// Booth is one node's part in the votes: its own vote, and its count of the others'. Times are as Voter's.
type Booth struct {
	set   Set
	boot  uint64
	voter Voter
	tally Tally
}

// NewBooth returns that of a life that starts now.
func NewBooth(set Set, boot uint64, lease, patient, now time.Duration) Booth {
	return Booth{set: set, boot: boot, voter: NewVoter(lease, patient, now), tally: NewTally(set)}
}

// Speak is the word of this node's beat of that number. Ask may be said only when the gate is armed for the round, Free only when the gate
// cannot be open any more by a round up to this one.
func (b *Booth) Speak(p Plea, round uint64, now time.Duration) Word {
	if p == Free {
		b.tally.Free(round)
	}
	b.voter.Hear(p, b.boot, round, now)
	b.own(now)
	to, granted := b.voter.Granted(now)
	return Word{Set: b.set.Hash, Seat: uint8(b.set.Seat), Plea: p, To: to, Round: granted}
}

// Hear takes the word in a beat of another life, and reports whether this node's vote is now somebody else's. Now is when it is heard or later; the
// rounds of one life must come in rising order. Nodes with other voters, or with this node's seat, are not listened to.
func (b *Booth) Hear(w Word, boot, round uint64, now time.Duration) (changed bool) {
	if w.Set != b.set.Hash || int(w.Seat) == b.set.Seat {
		return false
	}
	changed = b.voter.Hear(w.Plea, boot, round, now)
	b.own(now)
	if w.To != b.boot {
		w.Round = 0
	}
	b.tally.Hear(int(w.Seat), w.Round)
	return changed
}

// own counts this node's vote.
func (b *Booth) own(now time.Duration) {
	to, round := b.voter.Granted(now)
	if to != b.boot {
		round = 0
	}
	b.tally.Hear(b.set.Seat, round)
}

// Round is the newest round of this node that a majority has granted; 0: none.
func (b *Booth) Round() uint64 { return b.tally.Round() }

// Granting is whom this node's vote is granted to; 0: nobody.
func (b *Booth) Granting(now time.Duration) uint64 {
	to, _ := b.voter.Granted(now)
	return to
}
