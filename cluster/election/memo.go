package election

import (
	"slices"
	"time"
)

// Memo is what Decide wants to be told again next time: since when the things are so that a single View cannot date. It
// is part of the Decision and goes into the next View unchanged; nobody else reads or writes it. It is a value: Decide
// never changes the Memo that it was given.
type Memo struct {
	linkUp   bool
	linkAt   time.Time // since when the link is up
	late     bool      // let go because late, not claimed since
	despite  bool      // claimed although a peer does not hear us and said that it would
	yieldAt  time.Time // since when nobody holds and this node leaves the claim to a peer that does not hear it
	clearAt  time.Time // since when this node tells the others that it is about to claim on silence
	readyAt  time.Time // since when only a better candidate keeps this node from claiming
	askedAt  time.Time // since when HandTo asks for a handover that nobody has ordered
	movedAt  time.Time // the last handover to or from this node
	handRank int       // how unfit this node was when an operator said that it leads
	why      Reason    // of the present hold
	whyPeer  string
	contacts []contact // with fresh peers, by name
}

// contact dates what a fresh peer says.
type contact struct {
	name   string
	since  time.Time // continuously fresh
	mutual time.Time // continuously fresh, and hearing this node; zero: not now
	alone  time.Time // continuously fresh, not hearing this node, but others; zero: not now
	fitter time.Time // continuously fresh, and fitter than this node; zero: not now
	deaf   time.Time // continuously fresh, and deaf; zero: not now
}

// remember brings the memo up to date with the view; decisions add to it.
func (s *scene) remember() {
	m, self := s.v.Memo, s.v.Self
	if self.LinkUp && !m.linkUp {
		m.linkAt = s.now
	}
	m.linkUp = self.LinkUp
	m.movedAt = latest(m.movedAt, self.Giving.At)
	var some [8]contact
	contacts := some[:0]
	for _, q := range s.peers {
		if !s.fresh(q) {
			continue
		}
		c := contact{name: q.Name, since: s.now}
		if i := slices.IndexFunc(s.v.Memo.contacts, func(c contact) bool { return c.name == q.Name }); i >= 0 {
			c = s.v.Memo.contacts[i]
		}
		switch {
		case !q.HearsMe:
			c.mutual = time.Time{}
		case c.mutual.IsZero():
			c.mutual = s.now
		}
		switch {
		case q.HearsMe || !q.HearsOthers:
			c.alone = time.Time{}
		case c.alone.IsZero():
			c.alone = s.now
		}
		s.since(&c.fitter, q.unfit() < self.unfit())
		s.since(&c.deaf, s.deaf(q))
		contacts = append(contacts, c)
	}
	if !slices.Equal(contacts, m.contacts) { // most turns change nothing, and need no memory
		m.contacts = append([]contact(nil), contacts...)
	}
	s.memo = m
}

// contact is never nil-like for a fresh peer: remember has made one.
func (s *scene) contact(q Peer) contact {
	for _, c := range s.memo.contacts {
		if c.name == q.Name {
			return c
		}
	}
	return contact{name: q.Name, since: s.now}
}

// since keeps the moment at which cond became true in *at.
func (s *scene) since(at *time.Time, cond bool) {
	switch {
	case !cond:
		*at = time.Time{}
	case at.IsZero():
		*at = s.now
	}
}
