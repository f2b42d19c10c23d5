package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// Stories of the VIP's link: flaps, MACs, second links, links that vanish.

func TestShortLossOfTheLeadersLinkEndsWithOneHolder(t *testing.T) {
	for _, d := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 5 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{IPv6: true})
				f := s.fault(s.PullAtSwitch(s.leader.Host))
				s.pass(d)
				s.must(f.Heal())
				s.served()
				s.pass(500 * time.Millisecond)
				r, v := s.seen()
				if limit := time.Second + 2*r.Late; r.Blackout > limit {
					t.Errorf("the client got no answer for %v, at most %v is allowed", r.Blackout, limit)
				}
				if v.Dual.Total > 0 {
					t.Errorf("two nodes answered for %v", v.Dual.Total)
				}
				if got := moves(v); len(got) > 2 {
					t.Errorf("the VIP was at %v", got)
				}
				s.ready()
			})
		})
	}
}

func TestChangedMACIsAnnouncedAndMovesNothing(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{IPv6: true})
		s.must(s.leader.SetMAC(net.HardwareAddr{0x02, 0x54, 0x4c, 1, 9, 9}))
		s.says(s.leader, "announced", `reason="the link's MAC changed"`)
		s.served()
		s.pass(12 * time.Second) // the standby has asked who answers
		r, v := s.seen()
		s.stayed(r, v, 30)
		if w := s.status(s.standby).Warnings; len(w) > 0 {
			t.Errorf("the standby warns: %q", w)
		}
		s.begin() // and the peer knows the new MAC
		s.KillNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v = s.seen()
		s.moved(r, v, time.Second, 300*time.Millisecond)
		s.says(s.standby, "peer crashed")
	})
}

// heardIn says whether any of these voices answered after a moment, and until when.
func heardIn(v lab.View, from time.Time, who ...string) (at time.Time, found bool) {
	for i, c := range v.Changes {
		until := time.Now()
		if i+1 < len(v.Changes) {
			until = v.Changes[i+1].At
		}
		if until.After(from) && slices.ContainsFunc(c.Who, func(w string) bool { return slices.Contains(who, w) }) {
			return until, true
		}
	}
	return time.Time{}, false
}

func TestSecondLinkOfAHungLeaderIsSilentToo(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		for _, n := range s.Nodes { // Linux answers for an address on all its links
			_, err := n.NIC("eth1", "")
			s.must(err)
		}
		s.startBoth()
		second := s.leader.Name() + "/eth1"
		s.must(waitFor(s, second))
		s.begin()
		s.StopNode(s.leader.Index)
		s.pass(time.Second)
		_, v := s.seen()
		silent := s.from.Add(200*time.Millisecond + 60*time.Millisecond + 100*time.Millisecond) // of leeway for a busy machine
		if at, still := heardIn(v, silent, s.leader.Name(), second); still {
			t.Errorf("the hung leader answered until %v after it was stopped: %s", at.Sub(s.from), v)
		}
	})
}

// startBoth starts both nodes of a scene that was built, and waits for them.
func (s *scene) startBoth() {
	s.t.Helper()
	for i := range s.Nodes {
		s.must(s.StartNode(i))
	}
	s.until("one leads", func() bool {
		for _, n := range s.Nodes {
			if slices.Contains(s.Watch.Now(), n.Name()) {
				s.leader, s.standby = n, s.Other(n)
				return s.knowing(n) && s.knowing(s.Other(n))
			}
		}
		return false
	})
	s.begin()
}

// knowing says whether a node knows its peer and its backends.
func (s *scene) knowing(n *lab.Node) bool {
	st, err := api.Dial(n.Socket()).Status(s.t.Context())
	return err == nil && s.knows(st)
}

func waitFor(s *scene, who string) error {
	_, err := s.Watch.Wait(s.soon(), func(now []string) bool { return slices.Contains(now, who) })
	return err
}

// twoLinks gives each node a second segment, with a VIP of its own, and an observer on it.
func twoLinks(t *try) (*scene, *lab.Observer) {
	t.Helper()
	vip := netip.MustParseAddr("10.78.0.10")
	s := build(t, lab.PairConfig{Edit: func(_ *lab.Node, config string) string {
		config = strings.Replace(config, "listeners:\n", fmt.Sprintf("  more: [{interface: eth1, addresses: [%s]}]\nlisteners:\n", vip), 1)
		return strings.Replace(config, "listeners:\n", fmt.Sprintf("listeners:\n  - {name: more, bind: \"%s:80\", protocol: http, pool: web}\n", vip), 1)
	}})
	nic := func(h *lab.Host, id byte) *lab.NIC {
		n, err := h.NIC("eth1", "second", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 78, 0, id}), 24))
		s.must(err)
		return n
	}
	for i, n := range s.Nodes {
		nic(n.Host, 11+byte(i))
	}
	watch, err := nic(s.Client, 31).Observe(vip, netip.MustParseAddr("10.78.0.31"), step)
	s.must(err)
	s.startBoth()
	s.ready()
	s.begin()
	return s, watch
}

// both says whether one node answers on both segments.
func both(s *scene, second *lab.Observer, n *lab.Node) bool {
	return slices.Equal(s.Watch.Now(), []string{n.Name()}) && slices.Equal(second.Now(), []string{n.Name() + "/eth1"})
}

func TestVIPsOnTwoLinksMoveTogether(t *testing.T) {
	story(t, func(t *try) {
		s, second := twoLinks(t)
		s.until("the leader has both", func() bool { return both(s, second, s.leader) })
		load, err := s.Client.Client(netip.MustParseAddrPort("10.78.0.10:80"), every)
		s.must(err)
		s.must(s.WaitServed(s.soon(), load, 500*time.Millisecond))
		s.must(s.TermNode(s.soon(), s.leader.Index))
		s.until("the standby has both", func() bool { return both(s, second, s.standby) })
		s.must(s.WaitServed(s.soon(), load, 500*time.Millisecond))
		r, v := s.seen()
		s.moved(r, v, time.Second, 100*time.Millisecond)
	})
}

func TestLossOfOneOfTwoLinksMovesBoth(t *testing.T) {
	story(t, func(t *try) {
		s, second := twoLinks(t)
		s.must(s.leader.Do(func() error {
			ln, err := netlink.LinkByName("eth1")
			if err != nil {
				return err
			}
			return netlink.LinkSetDown(ln)
		}))
		s.until("the standby has both", func() bool { return both(s, second, s.standby) })
		r, v := s.seen()
		s.moved(r, v, time.Second, 0)
		s.says(s.leader, "link down", "eth1 is down")
		if v := second.View(s.from, time.Now()); v.Dual.Total > 0 {
			t.Errorf("on the second segment: %s", v)
		}
	})
}

// vanishing is a node whose VIP is on a link that can be deleted and made again under the running daemon.
func vanishing(t *testing.T, kind string, role func(*scene) *lab.Node) {
	story(t, func(t *try) {
		vip := netip.MustParseAddr("10.79.0.10")
		s := build(t, lab.PairConfig{Edit: func(_ *lab.Node, config string) string {
			return strings.Replace(config, "listeners:\n", fmt.Sprintf("  more: [{interface: v0, addresses: [%s]}]\nlisteners:\n", vip), 1)
		}})
		plug := func(h *lab.Host, id int) {
			t.Helper()
			for _, line := range []string{
				"ip link add link eth0 name v0 type " + kind,
				fmt.Sprintf("ip link set v0 address 02:54:4c:77:00:%02x", id),
				fmt.Sprintf("ip addr add 10.79.0.%d/24 dev v0", id), "ip link set v0 up",
			} {
				s.must(h.Do(func() error { return command(line) }))
			}
		}
		for i, n := range s.Nodes {
			s.must(n.Sysctl("ipv4/conf/all/arp_ignore", "1")) // v0 is on the same segment, and would answer for the VIP of eth0, too
			plug(n.Host, 11+i)
		}
		s.startBoth()
		s.ready()
		n := role(s)
		led := n == s.leader
		s.begin()
		s.must(n.Do(func() error { return command("ip link del v0") }))
		s.says(n, "link down", "v0 does not exist")
		other := s.leader
		if led {
			other = s.standby
		}
		s.takenOver(other)
		plug(n.Host, 11+n.Index)
		s.says(n, "link up", "link=v0")
		s.ready()
		if r, v := s.seen(); v.Dual.Total > 0 || r.Blackout > time.Second+2*r.Late {
			t.Errorf("client %s, observer %s", r, v)
		}
		s.begin() // and it can lead again
		s.must(s.TermNode(s.soon(), other.Index))
		s.takenOver(n)
		s.must(s.StartNode(other.Index))
	})
}

func command(line string) error {
	args := strings.Fields(line)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:noctx // at once
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

func leaderOf(s *scene) *lab.Node  { return s.leader }
func standbyOf(s *scene) *lab.Node { return s.standby }

func TestLinkThatVanishesUnderTheLeaderIsTakenUpAgain(t *testing.T) {
	vanishing(t, "macvlan mode bridge", leaderOf)
}

func TestLinkThatVanishesUnderTheStandbyIsTakenUpAgain(t *testing.T) {
	vanishing(t, "macvlan mode bridge", standbyOf)
}
