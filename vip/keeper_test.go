package vip_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// onFake tells a story on the host in memory.
func onFake(t *testing.T, f func(*story, *viptest.Host)) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		tell(t, w, func(s *story) { f(s, w.Host) })
	})
}

func TestReleaseShutsTheGateBeforeASlowKernel(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(3 * time.Second)
		s.keep.Want(vip.Wish{Reason: "a test"})
		synctest.Wait()
		s.expect("the addresses are still there", s.has(s.cfg.Addresses[0]))
		s.expect("and silent", s.none(s.answers) && s.none(s.serves))
		s.expect("renewing is quick, whatever the kernel does", s.keep.Renew(time.Now()))
		s.must(10*time.Second, "the addresses are gone", func() bool { return !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]) })
	})
}

func TestRenewalOfAddressesDoesNotDelayALetGo(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(500 * time.Millisecond)
		time.Sleep(s.cfg.Lease + 680*time.Millisecond) // a renewal is under way
		s.carrier(false)
		synctest.Wait()
		s.expect("it does not hold", !s.holds())
		h.SetSlow(0)
	})
}

func TestNoAddressIsRenewedAfterALapse(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		n := h.Adds()
		h.SetSlow(500 * time.Millisecond)
		time.Sleep(s.cfg.Lease/3 + 10*time.Millisecond) // the renewal of the first address is under way
		s.mute()
		time.Sleep(2 * time.Second)
		if got := h.Adds() - n; got != 1 {
			t.Errorf("%d addresses were renewed, want 1: the lease lapsed before the second", got)
		}
		h.SetSlow(0)
		s.must(5*time.Second, "nothing is left", func() bool { return !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]) })
	})
}

func TestOldWishBeginsNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		s := &story{world: w, t: t, cfg: config(t)}
		keep, err := vip.New(s.cfg, w.Host, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		s.keep = keep
		keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "decided before the process was stopped for a while"})
		time.Sleep(s.cfg.Failover + 10*time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- keep.Run(ctx) }()
		s.never(100*time.Millisecond, "it claimed", s.holds)
		s.renew()
		s.hold(1)
		s.mute()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestClaimThatTakesTooLongOpensNothing(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		h.SetSlow(800 * time.Millisecond)
		s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
		s.never(4*time.Second, "it opened after a late claim", func() bool { return s.holds() || !s.none(s.serves) })
		s.expect("it says so", s.keep.State().Err != nil)
		s.expect("nothing is left", !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]))
		h.SetSlow(0)
		s.never(time.Second, "it claimed on the strength of the old wish", s.holds)
		s.hold(1)
		s.expect("the error is gone", s.keep.State().Err == nil)
	})
}

func TestPacketSocketsThatCannotBeOpenedAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		w.SetNoPort(errors.New("listen packet 0x806: operation not permitted\nlisten packet 0x0: operation not permitted"))
		var out strings.Builder
		_, stop := w.run(config(t), hclog.New(&hclog.LoggerOptions{Output: &out}))
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		const message = "packet sockets cannot be opened, this node cannot lead"
		if n := strings.Count(out.String(), message); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, out.String())
		}
		if !strings.Contains(out.String(), "permitted; listen packet 0x0") {
			t.Errorf("the error is not on one line:\n%s", out.String())
		}
	})
}

func TestSuspendedHostLetsGo(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		s.mute()
		h.Suspend(time.Second)
		s.expect("the gate does not know", s.all(s.answers))
		s.expect("the first renewal knows", !s.keep.Renew(time.Now()))
		s.expect("and has shut the gate", s.none(s.serves))
		s.expect("the state says since when", s.keep.State().LostAt.Equal(time.Now()) && !s.holds())
		synctest.Wait()
		s.expect("when it has let go there is nothing to renew", s.keep.Renew(time.Now()))
	})
}

func TestHostWithoutAGateGoesByTheClock(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		h.SetNoGate(errors.New("no nftables here"))
		s.begin()
		if got := s.keep.State().Gate; !strings.Contains(got, "no nftables here") {
			t.Errorf("State.Gate = %q", got)
		}
		s.hold(1)
		s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 1})
		time.Sleep(time.Second)
		s.expect("it holds, and is honest about not being quiet", s.holds() && !s.keep.State().Quiet)
		s.mute()
		time.Sleep(s.cfg.Failover + 2*time.Millisecond)
		synctest.Wait()
		s.expect("it let go by itself", !s.holds() && s.none(s.answers) && !s.keep.State().LostAt.IsZero())
	})
}

func TestLeaseRemovesAddressesOfAKeeperThatIsStuck(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(time.Hour)
		time.Sleep(s.cfg.Lease + 3*time.Second)
		s.expect("the kernel took them", !s.has(s.cfg.Addresses[0]))
		h.SetSlow(0)
		s.mute()
		time.Sleep(2 * time.Hour)
	})
}

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

func TestWireCheck(t *testing.T) {
	v4, gateway := netip.MustParseAddr("10.9.0.10"), netip.MustParseAddr("10.9.0.254")
	peer, foreign, router := announce.MAC{2, 0, 0, 0, 0, 2}, announce.MAC{2, 0, 0, 0, 0, 9}, announce.MAC{2, 0, 0, 0, 0, 0xfe}
	stories := []struct {
		name   string
		holder viptest.Neighbour
		router bool // still there when the check begins
		ok     func(vip.Wire) bool
	}{
		{"nobody answers", viptest.Neighbour{}, true, func(w vip.Wire) bool { return w.Probes == 4 && w.PeerAt.IsZero() && w.ForeignAt.IsZero() && !w.Deaf }},
		{"the peer answers", viptest.Neighbour{MAC: peer}, true, func(w vip.Wire) bool {
			return w.Probes == 0 && !w.PeerAt.IsZero() && w.PeerMAC.String() == peer.String() && w.ForeignAt.IsZero() && !w.Deaf
		}},
		{"a stranger answers", viptest.Neighbour{MAC: foreign}, true, func(w vip.Wire) bool {
			return w.Probes == 0 && w.PeerAt.IsZero() && w.ForeignMAC.String() == foreign.String()
		}},
		{"the fabric answers for the peer", viptest.Neighbour{MAC: peer, Shadow: true}, true, func(w vip.Wire) bool {
			return w.Probes == 0 && w.PeerAt.IsZero() && w.ForeignMAC.String() == peer.String()
		}},
		{"deaf", viptest.Neighbour{}, false, func(w vip.Wire) bool { return w.Probes == 4 && w.Deaf }},
	}
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) {
			onFake(t, func(s *story, h *viptest.Host) {
				s.cfg.Gateway = gateway
				h.SetNeighbour(gateway, viptest.Neighbour{MAC: router})
				s.begin()
				s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {peer.HardwareAddr()}})
				time.Sleep(time.Second)
				h.SetNeighbour(v4, tt.holder)
				if !tt.router {
					h.SetNeighbour(gateway, viptest.Neighbour{})
				}
				s.keep.Want(vip.Wish{Check: true})
				time.Sleep(90 * time.Millisecond)
				synctest.Wait()
				if w := s.keep.State().Wire; !tt.ok(w) {
					t.Errorf("%s: %+v", tt.name, w)
				}
				s.keep.Want(vip.Wish{})
				synctest.Wait()
				if w := s.keep.State().Wire; !w.Since.IsZero() {
					t.Errorf("after the check: %+v", w)
				}
			})
		})
	}
}

func TestThirdPartiesAreAskedNowAndThen(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Neighbours = []netip.Addr{netip.MustParseAddr("10.9.0.30"), netip.MustParseAddr("192.0.2.1")}
		asked := func() (n int) {
			for _, f := range h.Sent() {
				if len(f) >= 42 && binary.BigEndian.Uint16(f[12:]) == 0x0806 && netip.AddrFrom4([4]byte(f[38:42])) == s.cfg.Neighbours[0] {
					n++
				}
				if len(f) >= 42 && netip.AddrFrom4([4]byte(f[38:42])) == s.cfg.Neighbours[1] {
					t.Error("a neighbour that is not on the link was asked")
				}
			}
			return n
		}
		s.begin()
		time.Sleep(time.Second)
		if n := asked(); n == 0 || s.keep.State().OthersKnown {
			t.Errorf("asked %d times, known %v", n, s.keep.State().OthersKnown)
		}
		h.SetNeighbour(s.cfg.Neighbours[0], viptest.Neighbour{MAC: announce.MAC{2, 0, 0, 0, 0, 30}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := asked(); n != 2 {
			t.Errorf("asked %d times in a minute, want 2", n)
		}
		st := s.keep.State()
		s.expect("it is known, and was heard", st.OthersKnown && time.Since(st.OthersAt) < 31*time.Second)
		s.keep.AskOthers()
		time.Sleep(time.Millisecond)
		s.expect("it was heard just now", time.Since(s.keep.State().OthersAt) < 2*time.Millisecond)
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {{2, 0, 0, 0, 0, 30}}})
		s.expect("a peer is no third party", !s.keep.State().OthersKnown)
	})
}

// A host that goes deaf must not, in time, forget that it ever heard anybody.
func TestDeafHostDoesNotForgetItsNeighbours(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.cfg.Gateway = netip.MustParseAddr("10.9.0.254")
		h.SetNeighbour(s.cfg.Gateway, viptest.Neighbour{MAC: announce.MAC{2, 0, 0, 0, 0, 0xfe}})
		s.begin()
		time.Sleep(time.Second)
		h.SetNeighbour(s.cfg.Gateway, viptest.Neighbour{})
		s.mute() // nothing is held; a day of ticks costs the test seconds
		time.Sleep(24 * time.Hour)
		s.expect("it still knows that there was somebody", s.keep.State().OthersKnown)
		for range 20 { // others are heard, the gateway is not: it has moved away
			h.Deliver(announce.Ask(announce.Broadcast(), announce.MAC{2, 0, 0, 0, 0, 40}, netip.MustParseAddr("10.9.0.40"), s.cfg.Gateway))
			time.Sleep(20 * time.Second)
		}
		s.expect("it has forgotten the one that moved away", !s.keep.State().OthersKnown)
	})
}

func TestConfirmOnAHost(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		for a, want := range map[announce.Answer]vip.Verdict{announce.Refused: vip.Refused, announce.Accepted: vip.Accepted, announce.NoAnswer: vip.NoAnswer} {
			h.SetKnock(a)
			start := time.Now()
			got, err := s.keep.Confirm(s.t.Context(), []net.HardwareAddr{{2, 0, 0, 0, 0, 2}}, netip.MustParseAddrPort("10.9.0.10:80"))
			if got != want || err != nil || time.Since(start) > 25*time.Millisecond {
				t.Errorf("Confirm = %s, %v after %s, want %s", got, err, time.Since(start), want)
			}
		}
		if _, err := s.keep.Confirm(s.t.Context(), []net.HardwareAddr{{2}}, netip.MustParseAddrPort("10.9.0.10:80")); err == nil {
			t.Error("Confirm at no MAC = nil")
		}
	})
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	good := config(t)
	tests := map[string]func(*vip.Config){
		"no interface":    func(c *vip.Config) { c.Interface = "" },
		"no addresses":    func(c *vip.Config) { c.Addresses = nil },
		"whole seconds":   func(c *vip.Config) { c.Lease = 2500 * time.Millisecond },
		"at least 2s":     func(c *vip.Config) { c.Lease = time.Second },
		"at least 10ms":   func(c *vip.Config) { c.Failover = time.Millisecond },
		"no run dir":      func(c *vip.Config) { c.RunDir = "" },
		"listed twice":    func(c *vip.Config) { c.Addresses = append(c.Addresses, netip.MustParsePrefix("10.9.0.10/24")) },
		"virtual address": func(c *vip.Config) { c.Addresses = []netip.Prefix{netip.MustParsePrefix("224.0.0.1/32")} },
	}
	for want, change := range tests {
		c := good
		c.Addresses = slices.Clone(c.Addresses)
		change(&c)
		_, err := vip.New(c, viptest.New("eth0", nil), hclog.NewNullLogger())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want an error with %q", c, err, want)
		}
	}
}
