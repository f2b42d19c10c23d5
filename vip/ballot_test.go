package vip_test

import (
	"context"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip"
)

// voting is a thread that beats, and voters that can be told what to do.
type voting struct {
	mu    sync.Mutex // guards the rest
	round uint64
	asks  bool // the beats are to ask
	grant bool // what was asked a beat ago has been granted
	best  uint64
	last  uint64
	said  string // "asks", "free" or nothing
	asked uint64 // the last round that was asked for before it gave its vote back
}

func (v *voting) set(f func(*voting)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(v)
}

func (v *voting) says() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.said
}

// turn is what the thread does before each beat.
func (v *voting) turn(k *vip.Keeper, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.grant && v.said == "asks" {
		v.best = v.round
	}
	v.round++
	asks, free := k.Vote(v.round, v.best, v.asks)
	v.said = ""
	switch {
	case asks:
		v.said, v.last = "asks", v.round
	case free:
		v.said, v.asked = "free", v.last
	}
	k.Renew(now)
}

// vote begins a story with votes.
func (s *story) vote() *voting {
	s.t.Helper()
	s.cfg.Votes = true
	s.keep, s.stop = s.run(s.cfg, testLog(s.t))
	v := &voting{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				v.turn(s.keep, now)
			}
		}
	})
	s.mute = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	s.must(soon, "the link is up", func() bool { return s.keep.State().LinkUp })
	return v
}

func onlyVotesOpenTheGate(s *story) {
	v := s.vote()
	s.must(soon, "its vote is free", func() bool { return v.says() == "free" })
	v.set(func(v *voting) { v.asks = true })
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
	s.never(3*s.cfg.Failover, "it opened without votes", func() bool { return s.holds() || !s.none(s.answers) || !s.none(s.serves) })
	v.set(func(v *voting) { v.grant = true })
	s.must(soon, "it holds by votes", func() bool { return s.holds() && s.all(s.answers) })
	s.never(3*s.cfg.Failover, "it let go though it had the votes", func() bool { return !s.holds() })
	s.expect("a holder's vote is not free", v.says() == "asks")
}

func holderWithoutVotesIsSilenced(s *story) {
	v := s.vote()
	v.set(func(v *voting) { v.asks, v.grant = true, true })
	s.hold(1)
	v.set(func(v *voting) { v.grant = false })
	s.must(2*s.cfg.Failover+soon/4, "nobody answers", func() bool { return s.none(s.answers) && s.none(s.serves) })
	s.must(soon, "it says so", func() bool { return !s.holds() && !s.keep.State().LostAt.IsZero() })
}

// freeIsAFact: the vote is not given back before the gate is shut, and after that no older round opens it.
func freeIsAFact(s *story) {
	v := s.vote()
	v.set(func(v *voting) { v.asks, v.grant = true, true })
	s.hold(1)
	v.set(func(v *voting) { v.asks = false })
	s.never(s.cfg.Failover/2, "it gave its vote back while it held", func() bool { return v.says() == "free" && s.holds() })
	s.keep.Want(vip.Wish{Reason: "a test"})
	s.must(soon, "its vote is free", func() bool { return v.says() == "free" })
	s.expect("it is silent by then", s.none(s.answers) && s.none(s.serves))
	// A candidate that gives up, and a grant that was on its way: of a round whose ticket was taken back.
	v.set(func(v *voting) { v.asks, v.grant = true, false })
	s.must(soon, "it asks again", func() bool { return v.says() == "asks" })
	v.set(func(v *voting) { v.asks = false })
	s.must(soon, "its vote is free again", func() bool { return v.says() == "free" })
	v.set(func(v *voting) { v.best, v.asks = v.asked, true })
	s.keep.Want(vip.Wish{Hold: true, Term: 2, Reason: "a test"})
	s.never(3*s.cfg.Failover, "it opened by a round that was given back", func() bool { return s.holds() || !s.none(s.serves) })
}

// quietNeedsNoVotes: a leader that hands over gives its votes back, goes on answering IP, and speaks up again only by new votes.
func quietNeedsNoVotes(s *story) {
	v := s.vote()
	v.set(func(v *voting) { v.asks, v.grant = true, true })
	s.hold(1)
	s.expect("it is found and serves", s.all(s.answers) && s.all(s.serves)) // and so the way is known
	v.set(func(v *voting) { v.asks, v.grant = false, false })
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Quiet: true, Reason: "a test"})
	s.must(soon, "its vote is free", func() bool { return v.says() == "free" })
	s.expect("it cannot be found", s.none(s.answers))
	s.expect("who knows the way is served", s.all(s.serves))
	s.never(3*s.cfg.Failover, "it stopped serving", func() bool { return !s.all(s.serves) })
	v.set(func(v *voting) { v.asks = true })
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
	s.never(3*s.cfg.Failover, "it spoke up without votes", func() bool { return !s.none(s.answers) })
	v.set(func(v *voting) { v.grant = true })
	s.must(soon, "it speaks up by votes", func() bool { return s.all(s.answers) })
}

// flushedGateOpensByVotes: who puts the gate back puts it back shut.
func flushedGateOpensByVotes(s *story) {
	v := s.vote()
	v.set(func(v *voting) { v.asks, v.grant = true, true })
	s.hold(1)
	v.set(func(v *voting) { v.grant = false })
	s.flush(s.cfg.Node)
	s.must(soon, "the gate is back and shut", func() bool { return s.gated(s.cfg) && s.none(s.serves) })
	v.set(func(v *voting) { v.grant = true })
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
	s.must(soon, "it holds again by votes", func() bool { return s.holds() && s.all(s.answers) })
}
