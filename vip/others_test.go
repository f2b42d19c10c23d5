package vip_test

import (
	"encoding/binary"
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
