package vip

import (
	"errors"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// With votes, the right to be found for the addresses comes from others, and ends before they give it to somebody else. What keeps that true in every
// pause of this process is the kernel: a round's ticket is put into the gate before the round is asked for, lasts as long as a lease, and is torn in the
// very transaction that opens the gate or prolongs it. So the gate is shut two leases after the question at the latest, whenever the transaction was
// sent. Who is quiet cannot be found, and needs no votes.

// ballot is the votes' part of a lease.
type ballot struct {
	granted uint64 // the newest round that a majority has granted
	used    uint64 // the newest round whose ticket was torn, or was found to have run out
	armed   bool   // there may be tickets in the gate
	unsure  bool   // the gate could not be shut: only time will tell
	waits   bool   // for a newer round to be granted
	// asked is when the newest rounds were asked for, by the boot clock: in the pause of a guest the kernel's own timeouts stand still, and that clock tells.
	asked [64]struct { // several leases long
		round uint64
		at    time.Duration
	}
}

// current says whether a round was asked for no longer than a lease ago.
func (b *ballot) current(round uint64, now, lease time.Duration) bool {
	a := b.asked[round%uint64(len(b.asked))]
	return a.round == round && now-a.at <= lease
}

// errNoVotes means that the gate can be opened only when more votes have come.
var errNoVotes = errors.New("no votes to open the gate by")

// Vote prolongs the lease by votes. It is to be called, before Renew, before each beat, by the thread that beats, and costs one or two small transactions
// of nftables. Round is the beat's number: with ask, the gate is armed for it. Granted is the newest round that a majority has granted, 0 for none.
// Asks: the beat may ask for the votes of that round. Free: this node is not to be found for the addresses, and cannot be by any round
// up to this one.
func (k *Keeper) Vote(round, granted uint64, ask bool) (asks, free bool) {
	k.Granted(granted)
	return k.lease.vote(round, ask)
}

// Granted tells that a newer round has been granted.
func (k *Keeper) Granted(round uint64) {
	if k.lease.hear(round) {
		poke(k.poke)
	}
}

// hear reports whether somebody waits for that.
func (l *lease) hear(granted uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.ballot
	b.granted = granted
	return b.waits && b.granted > b.used
}

func (l *lease) vote(round uint64, ask bool) (asks, free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.ballot
	if l.gate == nil || l.gone {
		return false, false
	}
	if now := l.clock(); l.mode == fence.Open && b.granted > b.used && now-l.proven >= l.budget/renewals {
		l.err = l.note(l.tear(now, fence.Open))
	}
	if ask {
		a := &b.asked[round%uint64(len(b.asked))]
		a.round, a.at = round, l.clock()
		err := l.note(l.gate.Arm(ticketOf(round)))
		if err != nil {
			l.err = err
			return false, false
		}
		b.armed = true
		return !l.gone, false
	}
	if b.unsure {
		b.unsure = l.gate.Shut() != nil
	}
	if b.armed && l.mode != fence.Open {
		b.armed = l.note(l.gate.Disarm()) != nil
	}
	return false, l.mode != fence.Open && !b.armed && !b.unsure && !l.gone
}

// ticketOf is the ticket of a round. The other half of the numbers is that of claims.
func ticketOf(round uint64) uint32 { return uint32(round) &^ claimTickets }

// claimTickets is the bit that the tickets of claims have.
const claimTickets = 1 << 31

// elect opens the gate by the newest round that was granted. Without a new one, it waits for it.
func (l *lease) elect(now time.Duration) error {
	b := &l.ballot
	b.waits = b.granted <= b.used
	if b.waits {
		return errNoVotes
	}
	err := l.tear(now, fence.Open)
	if errors.Is(err, fence.ErrLapsed) {
		b.waits = true
		return errNoVotes
	}
	return err
}

// tear uses the ticket of the newest round that was granted. ErrLapsed: it had run out, or the lease had; the next one will show. l.mu is held.
func (l *lease) tear(now time.Duration, to fence.Mode) error {
	b := &l.ballot
	b.used = b.granted
	if !b.current(b.granted, now, l.budget) {
		return fence.ErrLapsed
	}
	var err error
	if l.mode == fence.Shut {
		err = l.gate.Open(ticketOf(b.granted), to)
	} else {
		err = l.gate.Renew(ticketOf(b.granted), l.mode, to)
	}
	if err != nil {
		return err
	}
	l.mode, l.proven, l.lost = to, now, false
	return nil
}

func (l *lease) turnByVotes(now time.Duration, to fence.Mode) error {
	if to == fence.Open {
		return l.note(l.elect(now))
	}
	err := l.gate.Quieten()
	if err == nil {
		l.mode = to
	} else if errors.Is(err, fence.ErrLapsed) {
		l.lose(now)
	}
	return l.note(err)
}

// note keeps in mind that the gate's tables are gone, and passes on what is an error.
func (l *lease) note(err error) error {
	switch {
	case errors.Is(err, fence.ErrGone):
		l.gone = true
		return nil
	case errors.Is(err, fence.ErrLapsed):
		return nil
	}
	return err
}
