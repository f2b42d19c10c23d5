package vip_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// Stories of addresses on more than one link, told by TestKeeper.

// everywhere says whether every address of every link is on it; nowhere whether none is.
func (s *story) everywhere() bool {
	return !slices.ContainsFunc(s.cfg.All(), func(p netip.Prefix) bool { return !s.has(p) })
}

func (s *story) nowhere() bool { return !slices.ContainsFunc(s.cfg.All(), s.has) }

func allLinksHoldOrNone(s *story) {
	s.cfg.More = []vip.Link{s.second()}
	s.begin()
	s.hold(1)
	s.expect("all addresses are there", s.everywhere() && s.all(s.answers))
	if got := len(s.keep.State().MACs); got != 2 {
		s.t.Errorf("%d MACs, want those of both links", got)
	}
	s.carrierOf("eth1", false)
	s.must(soon, "it lets go of all", func() bool { return !s.holds() && s.nowhere() })
	s.expect("nobody answers on the other link", s.none(s.answers) && s.none(s.serves))
	s.must(soon, "it says why", func() bool { st := s.keep.State(); return !st.LinkUp && st.LinkWhy == "eth1 has no carrier" })
	s.keep.Want(vip.Wish{Hold: true, Term: 2, Reason: "one link is up"})
	s.never(100*time.Millisecond, "a part is held", func() bool { return s.holds() || !s.nowhere() })
	s.carrierOf("eth1", true)
	s.must(soon, "both are up", func() bool { return s.keep.State().LinkUp })
	s.hold(3)
	s.must(soon, "all addresses are back", func() bool { return s.everywhere() && s.all(s.answers) })
	s.keep.Want(vip.Wish{Reason: "a test"})
	s.must(soon, "all are gone", s.nowhere)
}

func vanishedLinkIsTakenUpAgain(s *story) {
	s.cfg.More = []vip.Link{s.second()}
	s.begin()
	s.hold(1)
	s.removeLink("eth1")
	s.must(soon, "it lets go of all", func() bool { return !s.holds() && s.nowhere() })
	s.must(soon, "it says why", func() bool { return s.keep.State().LinkWhy == "eth1 does not exist" }) // the kernel takes it down first
	s.keep.Want(vip.Wish{Reason: "the link is gone"})
	s.second()
	s.must(soon, "the link is back", func() bool { return s.keep.State().LinkUp })
	s.hold(2)
	s.must(soon, "all addresses are back", func() bool { return s.everywhere() && s.all(s.answers) })
}

// An address that somebody configured for good while the node led, or before, is kept silent beyond the end of the daemon.
func gateStaysShutOverAPermanentAddress(s *story) {
	p := s.cfg.Addresses[0]
	s.leave(p, true)
	s.begin()
	s.expect("it says so", s.keep.State().Barred != nil)
	if err := s.stop(); err != nil {
		s.t.Errorf("Run = %v", err)
	}
	s.expect("the address is there, and the gate", s.has(p) && s.gated(s.cfg))
	s.expect("it is silent", !s.answers(p.Addr()) && !s.serves(p.Addr()))
	s.remove(p)
	s.mute()
	s.begin()
	if err := s.stop(); err != nil {
		s.t.Errorf("Run = %v", err)
	}
	s.expect("without the address the gate goes, too", !s.gated(s.cfg))
}

func addressThatIsRemovedAgainAndAgainIsAFight(s *story) {
	s.begin()
	s.hold(1)
	for n := 1; n <= 5; n++ {
		if s.keep.State().Contested != "" {
			s.t.Errorf("a fight before removal %d", n)
		}
		s.remove(s.cfg.Addresses[0])
		s.must(soon, "it is put back", func() bool { return s.keep.State().Readded == n && s.has(s.cfg.Addresses[0]) })
	}
	s.must(soon, "it is a fight", func() bool { return s.keep.State().Contested != "" })
	s.remove(s.cfg.Addresses[0])
	s.must(soon, "it is put back all the same", func() bool { return s.keep.State().Readded == 6 && s.all(s.answers) })
}

func TestFightIsOverAfterAWhile(t *testing.T) {
	onFake(t, func(s *story, _ *viptest.Host) {
		s.begin()
		s.hold(1)
		for range 4 { // once in 20 seconds is no fight
			s.remove(s.cfg.Addresses[0])
			time.Sleep(20 * time.Second)
		}
		s.expect("four times in 80 seconds are no fight", s.keep.State().Contested == "")
		for range 5 {
			s.remove(s.cfg.Addresses[0])
			time.Sleep(100 * time.Millisecond)
		}
		s.expect("it is a fight", s.keep.State().Contested != "")
		time.Sleep(4 * time.Minute)
		s.expect("it is not over soon", s.keep.State().Contested != "")
		time.Sleep(2 * time.Minute)
		s.expect("it is over", s.keep.State().Contested == "" && s.keep.State().Readded == 9)
	})
}

// claims lists what frames say.
func claims(frames [][]byte) (all []announce.Claim) {
	for _, f := range frames {
		if c, err := announce.Parse(f); err == nil {
			all = append(all, c)
		}
	}
	return all
}

func TestPointGoesOutOnEachLink(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.More = []vip.Link{s.second()}
		s.begin()
		h.Sent()
		macs := []net.HardwareAddr{{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 1, 2}}
		if err := s.keep.Point(macs); err != nil {
			t.Fatal(err)
		}
		want := map[netip.Addr]string{}
		for i, l := range s.cfg.Links() {
			for _, p := range l.Addresses {
				want[p.Addr()] = macs[i].String()
			}
		}
		for _, c := range claims(h.Sent()) {
			if c.MAC.HardwareAddr().String() == want[c.Addr] {
				delete(want, c.Addr)
			}
		}
		if len(want) > 0 {
			t.Errorf("not pointed: %v", want)
		}
		if err := s.keep.Point(macs[:1]); err == nil {
			t.Error("Point with too few MACs = nil")
		}
	})
}

func TestRouterWithProxyARPHoldsNoClaimBack(t *testing.T) {
	router := announce.MAC{2, 0, 0, 0, 0, 99}
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Gateway = netip.MustParseAddr("10.9.0.99")
		h.SetNeighbour(s.cfg.Gateway, viptest.Neighbour{MAC: router})
		h.SetNeighbour(s.cfg.Addresses[0].Addr(), viptest.Neighbour{MAC: router}) // even for questions in nobody's name
		s.begin()
		time.Sleep(time.Second)
		s.keep.Want(vip.Wish{Check: true})
		time.Sleep(200 * time.Millisecond)
		if w := s.keep.State().Wire; w.Probes < 3 || !w.ForeignAt.IsZero() {
			t.Errorf("the wire check says %+v", w)
		}
		h.SetNeighbour(s.cfg.Addresses[0].Addr(), viptest.Neighbour{MAC: announce.MAC{2, 0, 0, 0, 0, 66}})
		time.Sleep(200 * time.Millisecond)
		if w := s.keep.State().Wire; w.ForeignAt.IsZero() {
			t.Errorf("a stranger is not told: %+v", w)
		}
	})
}

func TestStandbyFindsOutWhoAnswers(t *testing.T) {
	leader, stranger := announce.MAC{2, 0, 0, 0, 0, 2}, announce.MAC{2, 0, 0, 0, 0, 66}
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Addresses = s.cfg.Addresses[:1] // the fake's neighbours speak ARP
		v := s.cfg.Addresses[0].Addr()
		h.SetNeighbour(v, viptest.Neighbour{MAC: leader})
		s.begin()
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {leader.HardwareAddr()}})
		s.keep.Want(vip.Wish{Leader: "lb2"})
		time.Sleep(time.Minute)
		s.expect("nothing is wrong", len(s.keep.State().Strays) == 0)
		h.SetNeighbour(v, viptest.Neighbour{MAC: stranger})
		time.Sleep(12 * time.Second)
		if got := s.keep.State().Strays; len(got) != 1 || got[0].MAC.String() != stranger.HardwareAddr().String() || got[0].Leader != "lb2" || got[0].Since.IsZero() {
			t.Errorf("a stranger answers: %+v", got)
		}
		h.SetNeighbour(v, viptest.Neighbour{})
		time.Sleep(20 * time.Second)
		if got := s.keep.State().Strays; len(got) != 1 || got[0].MAC != nil {
			t.Errorf("nobody answers: %+v", got)
		}
		h.SetNeighbour(v, viptest.Neighbour{MAC: leader})
		time.Sleep(11 * time.Second)
		s.expect("all is well", len(s.keep.State().Strays) == 0)
		h.SetNeighbour(v, viptest.Neighbour{MAC: stranger})
		s.keep.Want(vip.Wish{Hold: true, Term: 1, Leader: "lb2"})
		time.Sleep(time.Minute)
		s.expect("a holder does not ask", len(s.keep.State().Strays) == 0)
	})
}

func TestStandbyAsksSoonAfterAMove(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Addresses = s.cfg.Addresses[:1]
		s.begin()
		old, now := announce.MAC{2, 0, 0, 0, 0, 2}, announce.MAC{2, 0, 0, 0, 0, 3}
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {old.HardwareAddr()}, "lb3": {now.HardwareAddr()}})
		h.SetNeighbour(s.cfg.Addresses[0].Addr(), viptest.Neighbour{MAC: old})
		s.keep.Want(vip.Wish{Leader: "lb2"})
		time.Sleep(5 * time.Second)
		s.keep.Want(vip.Wish{Leader: "lb3"}) // which the segment has not noticed
		time.Sleep(2 * time.Second)
		if got := s.keep.State().Strays; len(got) != 1 || got[0].Leader != "lb3" {
			t.Errorf("after a move that the segment has not noticed: %+v", got)
		}
	})
}

// What a sweep cannot remove stays in the record, and the gate over it.
func TestSweepThatFailsIsNotForgotten(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		h.AddLink("eth9", net.HardwareAddr{2, 0, 0, 0, 9, 1})
		old := netip.MustParsePrefix("10.9.0.77/32")
		if err := os.MkdirAll(s.cfg.RunDir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, s.cfg, []byte(`{"version":2,"links":[{"interface":"eth9","addresses":["10.9.0.77/32"]}]}`))
		f, _ := h.Look("eth9")
		if err := h.Add(f.Index, old, time.Hour); err != nil {
			t.Fatal(err)
		}
		h.SetStuck(errors.New("the kernel refuses"))
		s.begin()
		s.expect("it says so", s.keep.State().Err != nil)
		s.mute()
		if err := s.stop(); err == nil {
			t.Error("Run = nil although something is left")
		}
		h.SetStuck(nil)
		s.expect("it is left", s.has(old))
		s.begin()
		s.expect("and swept at the next start", !s.has(old))
	})
}
