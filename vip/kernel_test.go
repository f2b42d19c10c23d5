package vip_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
)

// What only a real kernel can tell.

func onKernel(t *testing.T, change func(*vip.Config)) (*kernel, *story) {
	t.Helper()
	k := newKernel(t)
	s := &story{world: k, t: t, cfg: config(t)}
	if change != nil {
		change(&s.cfg)
	}
	s.begin()
	t.Cleanup(func() { s.mute() })
	return k, s
}

// hung is a daemon that has claimed and then does nothing: its addresses stay on the link, and the gate is left to itself.
func (k *kernel) hung(cfg vip.Config) (sys vip.System, gate vip.Gate) {
	k.t.Helper()
	k.in(k.node, func() (err error) {
		if sys, err = vip.Open(cfg, hclog.NewNullLogger()); err != nil {
			return err
		}
		var vips []netip.Addr
		for _, p := range cfg.Addresses {
			vips = append(vips, p.Addr())
		}
		if gate, err = sys.Gate(cfg.Node, vips, cfg.Failover); err != nil {
			return err
		}
		if err := gate.Install(fence.Shut); err != nil {
			return err
		}
		f, err := sys.Look("eth0")
		if err != nil {
			return err
		}
		for _, p := range cfg.Addresses {
			if err := sys.Add(f.Index, p, 10*time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	k.t.Cleanup(func() { _, _ = gate.Close(), sys.Close() })
	return sys, gate
}

func TestGateSilencesAHungDaemon(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	cfg.Failover = 400 * time.Millisecond // longer than it takes to look
	_, gate := k.hung(cfg)
	look := func(when string, answers, serves bool) {
		t.Helper()
		for _, p := range cfg.Addresses {
			if !k.has(p) {
				t.Fatalf("%s: %s is not on the link", when, p)
			}
			if got := k.answers(p.Addr()); got != answers {
				t.Errorf("%s: %s answers = %v, want %v", when, p.Addr(), got, answers)
			}
			if got := k.serves(p.Addr()); got != serves {
				t.Errorf("%s: %s serves = %v, want %v", when, p.Addr(), got, serves)
			}
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	look("before the claim", false, false)
	do(gate.Arm(1))
	look("with a ticket", false, false)
	do(gate.Arm(2))
	do(gate.Open(2, fence.Open))
	look("open", true, true)
	do(gate.Turn(fence.Open, fence.Quiet))
	do(gate.Turn(fence.Quiet, fence.Quiet))
	look("quiet", false, true)
	time.Sleep(cfg.Failover + 10*time.Millisecond) // the kernel's timers are real
	look("quiet, and hung", false, false)
	do(gate.Arm(3))
	do(gate.Open(3, fence.Open))
	look("open again", true, true)
	time.Sleep(cfg.Failover + 10*time.Millisecond)
	look("hung", false, false)
	if _, err := fence.Remove("somebody else's"); err != nil {
		t.Error(err)
	}
	look("after the sweep of another node", false, false)
	k.flush(cfg.Node)
	look("without a gate", true, true)
}

// In and out are shut one by one: an answer needs both, so that asking for one shows neither.
func TestGateIsShutInBothDirections(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	_, gate := k.hung(cfg)
	for i, p := range cfg.Addresses {
		peer := netip.MustParseAddr([]string{"10.9.0.2", "fd00:9::2"}[i])
		var there, here net.PacketConn
		listen := func(ns netns.NsHandle, a netip.Addr) (c net.PacketConn) {
			k.in(ns, func() (err error) {
				c, err = net.ListenPacket("udp", netip.AddrPortFrom(a, 5000).String())
				return err
			})
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		there, here = listen(k.peer, peer), listen(k.node, p.Addr())
		// Both know the way: nobody has to ask.
		for ns, to := range map[netns.NsHandle]*netlink.Neigh{
			k.peer: {IP: p.Addr().AsSlice(), HardwareAddr: k.nodeMAC},
			k.node: {IP: peer.AsSlice(), HardwareAddr: k.peerMAC},
		} {
			k.in(ns, func() error {
				ln, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				to.LinkIndex, to.State = ln.Attrs().Index, netlink.NUD_PERMANENT
				route := &netlink.Route{LinkIndex: to.LinkIndex, Dst: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Bits())}}
				if ns == k.peer {
					err = netlink.RouteReplace(route)
				}
				return errors.Join(err, netlink.NeighSet(to))
			})
		}
		passes := func(from, to net.PacketConn) bool {
			_, _ = from.WriteTo([]byte("hello"), to.LocalAddr()) // a packet that the gate drops on its way out is an error
			_ = to.SetReadDeadline(time.Now().Add(patience))
			_, _, err := to.ReadFrom(make([]byte, 16))
			return err == nil
		}
		for round, open := range []bool{false, true, false} {
			if open {
				if err := errors.Join(gate.Arm(1), gate.Open(1, fence.Quiet)); err != nil {
					t.Fatal(err)
				}
			}
			if got := passes(there, here); got != open {
				t.Errorf("round %d: %s hears = %v, want %v", round, p, got, open)
			}
			if got := passes(here, there); got != open {
				t.Errorf("round %d: %s is heard = %v, want %v", round, p, got, open)
			}
			if open {
				if err := gate.Shut(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestEveryInterfaceIsSilenced(t *testing.T) {
	k := newKernel(t)
	k.cable("eth1")
	k.addrs(k.node, "eth1")
	k.addrs(k.peer, "eth1")
	cfg := config(t)
	_, gate := k.hung(cfg)
	k.listen("eth1") // the address is on eth0; Linux answers for it on every link
	v4 := cfg.Addresses[0].Addr()
	if k.answers(v4) {
		t.Error("the second interface answers through a shut gate")
	}
	if err := errors.Join(gate.Arm(1), gate.Open(1, fence.Open)); err != nil {
		t.Fatal(err)
	}
	if !k.answers(v4) {
		t.Error("the second interface does not answer through an open gate: this test shows nothing")
	}
	time.Sleep(cfg.Failover + 10*time.Millisecond)
	if k.answers(v4) {
		t.Error("the second interface answers for a daemon that hangs")
	}
}

func TestConfirmTellsDeadFromLiving(t *testing.T) {
	k, s := onKernel(t, nil)
	for _, v := range []string{"10.9.0.20/32", "2001:db8::20/128"} {
		p := netip.MustParsePrefix(v)
		k.change(k.peer, p, netlink.AddrAdd)
		// The peer must know the way back, as a peer on the same segment does.
		var l net.Listener
		k.in(k.peer, func() (err error) {
			l, err = net.Listen("tcp", netip.AddrPortFrom(p.Addr(), 80).String())
			return err
		})
		defer l.Close()
		confirm := func(mac net.HardwareAddr, port uint16) (vip.Verdict, time.Duration) {
			start := time.Now()
			got, err := s.keep.Confirm(t.Context(), []net.HardwareAddr{mac}, netip.AddrPortFrom(p.Addr(), port))
			if err != nil {
				t.Fatal(err)
			}
			return got, time.Since(start)
		}
		s.must(soon, "the peer's kernel uses its new address", func() bool { v, _ := confirm(k.peerMAC, 80); return v == vip.Accepted })
		for range 3 {
			got, took := confirm(k.peerMAC, 80)
			if got != vip.Accepted {
				t.Errorf("Confirm(%s) of a living listener = %s, want %s", p, got, vip.Accepted)
			}
			t.Logf("%s %s in %s", p, got, took)
			got, took = confirm(k.peerMAC, 81)
			if got != vip.Refused {
				t.Errorf("Confirm(%s) of a dead one = %s, want %s", p, got, vip.Refused)
			}
			t.Logf("%s %s in %s", p, got, took)
		}
		if got, took := confirm(net.HardwareAddr{2, 0, 0, 0, 0, 99}, 80); got != vip.NoAnswer || took > 100*time.Millisecond {
			t.Errorf("Confirm(%s) of nobody = %s after %s, want %s", p, got, took, vip.NoAnswer)
		}
		if s.keep.State().Holds {
			t.Error("a standby holds")
		}
	}
}

func TestPointMovesANeighboursEntry(t *testing.T) {
	k, s := onKernel(t, nil)
	s.hold(1)
	to := net.HardwareAddr{2, 0, 0, 0, 0, 77}
	entry := func(a netip.Addr) (found net.HardwareAddr) {
		k.in(k.peer, func() error {
			ln, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			list, err := netlink.NeighList(ln.Attrs().Index, netlink.FAMILY_ALL)
			for _, n := range list {
				if ip, _ := netip.AddrFromSlice(n.IP); ip.Unmap() == a {
					found = n.HardwareAddr
				}
			}
			return err
		})
		return found
	}
	k.in(k.peer, func() error {
		ln, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		for _, p := range s.cfg.Addresses {
			n := &netlink.Neigh{LinkIndex: ln.Attrs().Index, IP: p.Addr().AsSlice(), HardwareAddr: k.nodeMAC, State: netlink.NUD_REACHABLE}
			if err := netlink.NeighSet(n); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.keep.Point([]net.HardwareAddr{to}); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.cfg.Addresses {
		s.must(soon, "the neighbour's entry for "+p.String()+" has moved", func() bool { return entry(p.Addr()).String() == to.String() })
	}
}

func TestLeaseRemovesTheAddressesOfAHostWithoutAGate(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	var sys vip.System
	k.in(k.node, func() (err error) {
		sys, err = vip.Open(cfg, hclog.NewNullLogger())
		if err != nil {
			return err
		}
		f, err := sys.Look("eth0")
		if err != nil {
			return err
		}
		for _, p := range cfg.Addresses {
			if err := sys.Add(f.Index, p, 2*time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	defer func() { _ = sys.Close() }()
	for _, p := range cfg.Addresses {
		if !k.has(p) || !k.answers(p.Addr()) {
			t.Errorf("%s is not there at the start", p)
		}
	}
	for _, p := range cfg.Addresses {
		if !k.until(2500*time.Millisecond, func() bool { return !k.has(p) }) {
			t.Errorf("%s is still there after lease and 0.5 s", p)
		}
	}
}

func TestAddressesAreRenewedBeforeTheirLeaseEnds(t *testing.T) {
	_, s := onKernel(t, func(c *vip.Config) { c.Failover = 2 * time.Second })
	s.hold(1)
	s.until(2600*time.Millisecond, func() bool { return false })
	s.expect("it still holds", s.holds() && s.all(s.answers))
	if n := s.keep.State().Readded; n != 0 {
		t.Errorf("put back %d times, want 0: the lease ran out", n)
	}
}

func TestSweepTakesWhatACrashLeft(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	s := &story{world: k, t: t, cfg: cfg}
	s.begin()
	s.hold(1)
	record := readFile(t, cfg)
	s.mute()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, cfg, record)
	stranger := netip.MustParsePrefix("10.9.0.99/32")
	for _, p := range append(cfg.Addresses[:2:2], stranger) {
		k.leave(p, false)
	}
	sweep := func() (err error) {
		k.in(k.node, func() error { err = vip.Sweep(cfg, testLog(t)); return nil })
		return err
	}
	for range 2 {
		if err := sweep(); err != nil {
			t.Fatalf("Sweep = %v", err)
		}
	}
	for _, p := range cfg.Addresses {
		if k.has(p) {
			t.Errorf("%s is left", p)
		}
	}
	if !k.has(stranger) {
		t.Error("an address that is not ours was removed")
	}
	k.leave(cfg.Addresses[0], true)
	writeFile(t, cfg, []byte("{torn"))
	if err := sweep(); err == nil {
		t.Error("Sweep with a permanent VIP = nil, want an error that says what to do")
	} else {
		t.Log(err)
	}
	if !k.has(cfg.Addresses[0]) {
		t.Error("an operator's address was removed")
	}
	k.leave(cfg.Addresses[1], false)
	writeFile(t, cfg, []byte("{torn"))
	_ = sweep()
	if k.has(cfg.Addresses[1]) {
		t.Error("with a torn record, a leftover that the configuration names stays")
	}
}

func TestSweepTakesTheGateOfAFormerName(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	s := &story{world: k, t: t, cfg: cfg}
	s.begin()
	record := readFile(t, cfg)
	s.mute()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	former := func(f func(*fence.Gate) error) {
		k.in(k.node, func() error {
			g, err := fence.New(cfg.Node, []netip.Addr{cfg.Addresses[0].Addr()}, time.Second)
			if err != nil {
				return err
			}
			return errors.Join(f(g), g.Close())
		})
	}
	former(func(g *fence.Gate) error { return g.Install(fence.Shut) }) // as a crash would leave it
	writeFile(t, cfg, record)
	renamed := cfg
	renamed.Node = "lb1.example.org"
	k.in(k.node, func() error { return vip.Sweep(renamed, testLog(t)) })
	former(func(g *fence.Gate) error {
		if err := g.Check(); !errors.Is(err, fence.ErrGone) {
			t.Errorf("the gate of the former name: %v, want %v", err, fence.ErrGone)
		}
		return nil
	})
}

func TestWireCheckOnAKernel(t *testing.T) {
	k, s := onKernel(t, func(c *vip.Config) { c.Neighbours = []netip.Addr{netip.MustParseAddr("10.9.0.2")} })
	s.must(soon, "a third party has answered", func() bool { return s.keep.State().OthersKnown })
	s.keep.Want(vip.Wish{Check: true})
	s.must(soon, "three rounds were asked in vain", func() bool { return s.keep.State().Wire.Probes >= 3 })
	if w := s.keep.State().Wire; w.Deaf || !w.PeerAt.IsZero() || !w.ForeignAt.IsZero() {
		t.Errorf("the check says %+v, want silence, not deafness", w)
	}
	for _, p := range s.cfg.Addresses {
		k.change(k.peer, p, netlink.AddrAdd)
		s.must(soon, "the stranger is noticed", func() bool { w := s.keep.State().Wire; return w.Probes == 0 && !w.ForeignAt.IsZero() })
		s.keep.SetPeers(map[string][]net.HardwareAddr{"lb2": {k.peerMAC}})
		s.must(soon, "the peer is known", func() bool { return time.Since(s.keep.State().Wire.PeerAt) < 100*time.Millisecond })
		k.change(k.peer, p, netlink.AddrDel)
		s.must(soon, "nobody answers", func() bool { return s.keep.State().Wire.Probes >= 3 })
		s.keep.SetPeers(nil)
		s.keep.Want(vip.Wish{})
		s.must(soon, "the check ends", func() bool { return s.keep.State().Wire.Since.IsZero() })
		s.keep.Want(vip.Wish{Check: true})
	}
}

func TestHolderSeesAnotherHolder(t *testing.T) {
	k, s := onKernel(t, nil)
	s.hold(1)
	n := s.keep.State().Announced
	foreign := announce.MAC{2, 0, 0, 0, 0, 9}
	for _, p := range s.cfg.Addresses {
		frame := announce.Unsolicited(foreign, foreign, p.Addr(), announce.MAC{}, netip.Addr{})
		if p.Addr().Is4() {
			frame = announce.Gratuitous(foreign, foreign, p.Addr())
		}
		if err := k.port.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	s.must(soon, "both are sighted", func() bool { return len(s.keep.State().Sightings) == 2 })
	s.must(soon, "it announces again", func() bool { return s.keep.State().Announced > n })
	if got := s.keep.State().Sightings[0]; got.MAC.String() != foreign.String() {
		t.Errorf("sighted %+v, want %s", got, foreign)
	}
}

func TestListenerErrorsAreTold(t *testing.T) {
	k := newKernel(t)
	cfg := config(t)
	cfg.Interface = "eth7"
	keep, _ := k.run(cfg, testLog(t))
	if !k.until(time.Second, func() bool { return keep.State().LinkWhy == "eth7 does not exist" }) {
		t.Errorf("State.LinkWhy = %q", keep.State().LinkWhy)
	}
	if _, err := keep.Confirm(t.Context(), []net.HardwareAddr{k.peerMAC}, netip.MustParseAddrPort("10.9.0.10:80")); err == nil {
		t.Error("Confirm without a link = nil")
	}
	if err := keep.Point([]net.HardwareAddr{k.peerMAC}); err == nil {
		t.Error("Point without a link = nil")
	}
	k.cable("eth7")
	k.addrs(k.node, "eth7", "10.9.0.1/24")
	k.in(k.peer, func() error {
		ln, err := netlink.LinkByName("eth7")
		return errors.Join(err, netlink.LinkSetUp(ln))
	})
	if !k.until(2*time.Second, func() bool { return keep.State().LinkUp }) {
		t.Errorf("the link came and State is %+v", keep.State())
	}
}
