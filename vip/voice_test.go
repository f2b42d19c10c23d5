package vip_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// said lists what was announced: for each frame of ARP, the offset from start.
func said(frames [][]byte, a netip.Addr) (requests, replies int) {
	for _, f := range frames {
		c, err := announce.Parse(f)
		switch {
		case err != nil || c.Addr != a || c.To != a:
		case c.Reply:
			replies++
		default:
			requests++
		}
	}
	return requests, replies
}

func TestHolderAnnouncesOnSchedule(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Refresh = time.Minute
		s.begin()
		v4 := s.cfg.Addresses[0].Addr()
		expect := func(when string, n int) {
			t.Helper()
			synctest.Wait()
			if requests, replies := said(h.Sent(), v4); requests != n || replies != n {
				t.Errorf("%s: announced %d times by request and %d by reply, want %d", when, requests, replies, n)
			}
		}
		expect("before the claim", 0)
		s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
		expect("at once", 1)
		time.Sleep(300 * time.Millisecond)
		expect("0.3 s", 2)
		time.Sleep(2 * time.Second)
		expect("2.3 s", 2)
		time.Sleep(50 * time.Second)
		expect("52 s", 0)
		time.Sleep(20 * time.Second)
		expect("72 s", 1)
		s.keep.Announce("a rival has let go")
		expect("on request", 1)
		h.SetMAC(net.HardwareAddr{2, 0, 0, 0, 0, 7})
		synctest.Wait()
		frames := h.Sent()
		if n, _ := said(frames, v4); n != 1 {
			t.Errorf("the MAC changed and there were %d announcements", n)
		}
		for _, f := range frames {
			if announce.MAC(f[6:12]) != (announce.MAC{2, 0, 0, 0, 0, 7}) {
				t.Errorf("announced with the old MAC: %x", f)
			}
		}
		s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 1})
		synctest.Wait()
		h.Sent()
		time.Sleep(10 * time.Minute)
		expect("quiet", 0)
		s.keep.Want(vip.Wish{})
		time.Sleep(10 * time.Minute)
		expect("released", 0)
	})
}

func TestGatewayIsToldByUnicast(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Gateway = netip.MustParseAddr("10.9.0.254")
		router := announce.MAC{2, 0, 0, 0, 0, 0xfe}
		h.SetNeighbour(s.cfg.Gateway, viptest.Neighbour{MAC: router})
		s.begin()
		s.must(10*time.Millisecond, "it knows the gateway", func() bool { return s.keep.State().OthersKnown })
		h.Sent()
		s.hold(1)
		told := slices.ContainsFunc(h.Sent(), func(f []byte) bool {
			c, err := announce.Parse(f)
			return err == nil && announce.MAC(f[:6]) == router && c.Reply && c.Addr == s.cfg.Addresses[0].Addr()
		})
		s.expect("the gateway was told", told)
	})
}

func TestSightingIsAnsweredOnceASecond(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		h.Sent()
		v4, foreign := s.cfg.Addresses[0].Addr(), announce.MAC{2, 0, 0, 0, 0, 9}
		for range 100 {
			h.Deliver(announce.Gratuitous(foreign, foreign, v4))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		// Each restarts the schedule, of which three announcements fall into the second.
		if n, _ := said(h.Sent(), v4); n < 10 || n > 35 {
			t.Errorf("%d announcements against 100 foreign ones in 10 s", n)
		}
		if got := s.keep.State().Sightings; len(got) != 1 || got[0].Addr != v4 || time.Since(got[0].At) > 1200*time.Millisecond {
			t.Errorf("sightings: %+v", got)
		}
		for i := range 100 {
			other := announce.MAC{2, 0, 0, 0, 1, byte(i)}
			h.Deliver(announce.Gratuitous(other, other, v4))
			synctest.Wait()
		}
		if n := len(s.keep.State().Sightings); n > 16 {
			t.Errorf("%d sightings are kept", n)
		}
		each, all := strings.Count(s.log.String(), "somebody else claims the vip"), strings.Count(s.log.String(), "many others claim the vip")
		if each > 16 || all != 1 {
			t.Errorf("of 101 claimants %d were told one by one, %d times that there are many", each, all)
		}
	})
}

func TestOwnAndHarmlessFramesAreNoSightings(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		v4, me, other := s.cfg.Addresses[0].Addr(), announce.MAC{2, 0, 0, 0, 0, 1}, announce.MAC{2, 0, 0, 0, 0, 2}
		for _, f := range [][]byte{
			announce.Gratuitous(me, me, v4),    // our own, come back
			announce.Gratuitous(other, me, v4), // a leader that hands over, on our behalf
			announce.Ask(announce.Broadcast(), other, netip.MustParseAddr("10.9.0.2"), v4),
			announce.Ask(announce.Broadcast(), other, netip.IPv4Unspecified(), v4),
			{1, 2, 3},
			nil,
		} {
			h.Deliver(f)
		}
		time.Sleep(time.Second)
		if got := s.keep.State().Sightings; len(got) != 0 {
			t.Errorf("sightings: %+v", got)
		}
	})
}
