package vip

import (
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

// Times of the wire check.
const (
	answerTime = 20 * time.Millisecond  // what a neighbour may take to answer
	slowAfter  = time.Second            // from then on, ask less often
	slowRound  = 100 * time.Millisecond // between questions then
)

// check asks who answers for the addresses. It is pure: it is told what happened, and says what is due.
type check struct {
	wire   Wire
	round  time.Time // when the newest question was asked
	open   bool      // its time to answer is not yet over
	silent bool      // nobody has answered since it was asked
	claim  announce.MAC
	doubt  bool // in this round, a peer's MAC answered a question to everybody but not yet one to itself
	rounds int
}

func (c *check) start(now time.Time) { *c = check{wire: Wire{Since: now}} }

func (c *check) stop() { *c = check{} }

func (c *check) running() bool { return !c.wire.Since.IsZero() }

// due returns when something is to be done: end a round, or ask. It is in the past for a check that has just begun.
func (c *check) due() time.Time {
	switch {
	case !c.running():
		return time.Time{}
	case c.round.IsZero():
		return c.wire.Since
	case c.open:
		return c.round.Add(answerTime)
	case c.round.Sub(c.wire.Since) >= slowAfter:
		return c.round.Add(slowRound)
	}
	return c.round.Add(answerTime)
}

// tick ends the round whose time is over, and says whether to ask now.
func (c *check) tick(now time.Time) (ask bool) {
	if c.open && !now.Before(c.round.Add(answerTime)) {
		c.end(now)
	}
	if c.open || !c.running() || now.Before(c.due()) {
		return false
	}
	c.round, c.open, c.silent, c.doubt = now, true, true, false
	return true
}

func (c *check) end(now time.Time) {
	c.open = false
	c.rounds++
	if c.silent {
		c.wire.Probes++
	}
	if c.doubt {
		// Something answers with the MAC of a peer that does not itself: a fabric that remembers the dead.
		c.wire.ForeignAt, c.wire.ForeignMAC = now, c.claim.HardwareAddr()
	}
}

// heard takes an answer: from a peer's MAC or another. direct says that it answers a question put to that MAC alone.
func (c *check) heard(m announce.MAC, peer, direct bool, now time.Time) {
	if !c.running() {
		return
	}
	c.silent, c.wire.Probes = false, 0
	switch {
	case peer && direct:
		c.doubt = false
		c.wire.PeerAt, c.wire.PeerMAC = now, m.HardwareAddr()
	case peer:
		if !c.wire.PeerAt.After(c.round) { // not yet confirmed in this round
			c.claim, c.doubt = m, true
		}
	default:
		c.wire.ForeignAt, c.wire.ForeignMAC = now, m.HardwareAddr()
	}
}

// result is what is published. known says whether third parties ever answered, othersAt when one was last heard.
func (c *check) result(known bool, othersAt time.Time) Wire {
	w := c.wire
	w.PeerMAC, w.ForeignMAC = slices.Clone(w.PeerMAC), slices.Clone(w.ForeignMAC)
	w.Deaf = c.running() && known && c.rounds > 0 && othersAt.Before(w.Since)
	return w
}
