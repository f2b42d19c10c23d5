package vip_test

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/viptest"
)

func TestClaimPassesOnWhatBeganAtTheLivingLeader(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		lb2, lb3 := net.HardwareAddr{2, 0, 0, 0, 0, 32}, net.HardwareAddr{2, 0, 0, 0, 0, 33}
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {lb2}, "lb3": {lb3}})
		h.SetSlow(100 * time.Millisecond) // an address takes that long
		s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 2, After: "lb2", Reason: "an order"})
		synctest.Wait()
		s.expect("it does not hold yet", !s.holds())
		hops := h.Hops()
		if len(hops) != 1 {
			t.Fatalf("passed on at %d links before the claim, want 1", len(hops))
		}
		got := hops[0]
		if got.Device != s.cfg.Interface || got.Index == 0 || got.To.String() != lb2.String() || len(got.Own) != 6 || len(got.VIPs) != len(s.cfg.Addresses) || len(got.Excepted) != 2 {
			t.Errorf("passed on by %+v", got)
		}
		h.SetSlow(0)
		s.must(soon, "it holds", s.holds)
		s.keep.Want(vip.Wish{Hold: true, Term: 2, After: "lb2", Reason: "an order"})
		s.until(500*time.Millisecond, func() bool { return false })
		s.expect("they are passed on while the wish says so", len(h.Hops()) == 1)
		s.keep.Want(vip.Wish{Hold: true, Term: 2, Reason: "an order"})
		s.must(soon, "they are passed on no more", func() bool { return h.Hops() == nil })
		s.expect("it holds", s.holds())
	})
}

func TestClaimDoesNotDependOnAPassage(t *testing.T) {
	for what, c := range map[string]struct {
		peers map[string][]net.HardwareAddr
		fails error
	}{
		"nobody knows the old leader's MAC": {},
		"not Ethernet":                      {peers: map[string][]net.HardwareAddr{"lb2": {{1, 2, 3}}}},
		"the kernel cannot":                 {peers: map[string][]net.HardwareAddr{"lb2": {{2, 0, 0, 0, 0, 32}}}, fails: errors.New("no netdev family")},
	} {
		t.Run(what, func(t *testing.T) {
			onFake(t, func(s *story, h *viptest.Host) {
				s.begin()
				h.SetNoPassage(c.fails)
				s.keep.SetPeers(c.peers)
				s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 2, After: "lb2", Reason: "an order"})
				s.must(soon, "it holds", s.holds)
				s.expect("nothing is passed on", h.Hops() == nil)
				if err := s.keep.State().Err; err != nil {
					t.Errorf("State.Err = %v, though the wish is the fact", err)
				}
			})
		})
	}
}

func TestPassageEndsWithTheClaim(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {{2, 0, 0, 0, 0, 32}}})
		s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 2, After: "lb2", Reason: "an order"})
		s.must(soon, "it holds", s.holds)
		s.expect("they are passed on", len(h.Hops()) == 1)
		s.keep.Want(vip.Wish{Reason: "the order was cancelled"})
		s.must(soon, "nothing is left of it", func() bool { return h.Hops() == nil && !s.holds() })
	})
}

// The kernel may take long to prepare a passage, and nobody may renew a gate meanwhile.
func TestPassageIsPreparedByWhoDoesNotHold(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.must(soon, "it is prepared", func() bool { return h.Paved() == 1 })
		s.hold(1)
		h.Flush()
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {{2, 0, 0, 0, 0, 32}}})
		s.keep.Want(vip.Wish{Reason: "a test"})
		s.must(soon, "it lets go", func() bool { return !s.holds() && !s.has(s.cfg.Addresses[0]) })
		s.keep.Want(vip.Wish{Hold: true, Term: 2, After: "lb2", Reason: "an order"})
		s.must(soon, "it holds without a passage", s.holds)
		s.expect("nothing is prepared by a holder", h.Paved() == 0)
		s.until(time.Minute, func() bool { return false })
		s.expect("nor later", s.holds() && h.Paved() == 0)
		s.keep.Want(vip.Wish{Reason: "a test"})
		s.must(time.Minute, "it is prepared again when it has let go", func() bool { return h.Paved() == 1 })
	})
}
