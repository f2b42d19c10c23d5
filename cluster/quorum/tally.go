package quorum

// Tally counts the votes for one node. The zero value counts for a set without voters, and has no majority.
type Tally struct {
	set    Set
	rounds [MaxSeats]uint64 // the newest that each voter has granted this node; 0: none
	freed  uint64           // grants of rounds up to this one were given back
}

// NewTally returns an empty count.
func NewTally(s Set) Tally { return Tally{set: s} }

// Hear takes the newest word of the voter on a seat: it grants this node that round, or nothing (0). What an earlier word granted is void then: the
// voter may have been freed meanwhile. Seats that do not exist are ignored.
func (t *Tally) Hear(seat int, round uint64) {
	if seat >= 0 && seat < min(t.set.Size, MaxSeats) {
		t.rounds[seat] = round
	}
}

// Free voids the grants of all rounds up to this one, also those that are still on their way.
func (t *Tally) Free(round uint64) { t.freed = max(t.freed, round) }

// Round is the newest round that a majority has granted; 0: none.
func (t *Tally) Round() uint64 {
	n := min(t.set.Size, MaxSeats)
	best := uint64(0)
	for _, r := range t.rounds[:n] {
		if r > best && r > t.freed && t.Votes(r) >= t.set.Majority() {
			best = r
		}
	}
	return best
}

// Votes counts the voters that have granted that round or a later one.
func (t *Tally) Votes(round uint64) int {
	n := 0
	for _, r := range t.rounds[:min(t.set.Size, MaxSeats)] {
		if r >= round && r > 0 {
			n++
		}
	}
	return n
}
