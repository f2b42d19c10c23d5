package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// Stories of others who meddle with the VIP.

func TestVIPThatIsRemovedAgainAndAgainMoves(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for range 12 {
			if s.Leader() != s.leader {
				break
			}
			s.must(s.leader.DelAddr(netip.PrefixFrom(s.VIP, s.VIP.BitLen())))
			s.pass(150 * time.Millisecond)
		}
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, 500*time.Millisecond, 50*time.Millisecond)
		s.says(s.leader, "somebody keeps removing the vip, another node should hold it", "hint=")
		s.pass(time.Second)
		if got := s.Leader(); got != s.standby {
			t.Errorf("the VIP went back")
		}
	})
}

func TestStandbyTellsThatAStrangerAnswers(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.must(s.Stranger.AddAddr(netip.PrefixFrom(s.VIP, s.VIP.BitLen()))) // and announces nothing
		s.until("the standby tells", func() bool {                          // it asks every 10 s
			return s.said(s.standby, "somebody who is not the leader answers for the vip", "mac="+s.Stranger.MAC().String(), "leader="+s.leader.Name())
		})
		if !slices.ContainsFunc(s.status(s.standby).Warnings, func(w string) bool { return strings.Contains(w, s.Stranger.MAC().String()) }) {
			t.Errorf("the status does not tell: %q", s.status(s.standby).Warnings)
		}
		s.must(s.Stranger.DelAddr(netip.PrefixFrom(s.VIP, s.VIP.BitLen())))
		s.until("the standby is content", func() bool { return s.said(s.standby, "the leader alone answers for the vip again") })
	})
}

// A router with proxy ARP answers for what it has another way to.
func TestRouterWithProxyARPHoldsNoClaimBack(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		_, err := s.Gateway.NIC("eth1", "elsewhere", netip.MustParsePrefix("10.80.0.1/24"))
		s.must(err)
		for path, value := range map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/eth0/proxy_arp": "1", "ipv4/neigh/eth0/proxy_delay": "0"} {
			s.must(s.Gateway.Sysctl(path, value))
		}
		s.must(s.Gateway.Do(func() error { return command("ip route add " + s.VIP.String() + "/32 dev eth1") }))
		s.must(waitFor(s, s.Gateway.Name())) // it does answer
		s.must(s.StartNode(0))
		s.must(waitFor(s, s.Nodes[0].Name())) // at the start, without a peer
		s.must(s.StartNode(1))
		s.leader, s.standby = s.Nodes[0], s.Nodes[1]
		s.until("the standby is ready", func() bool { return s.knowing(s.standby) && s.status(s.standby).State == api.Standby })
		s.begin()
		s.fault(s.PullAtSwitch(s.leader.Host))
		s.must(waitFor(s, s.standby.Name()))
		s.pass(100 * time.Millisecond)
		_, v := s.seen()
		at, _ := heardAt(v, s.from, s.standby.Name())
		if took := at.Sub(s.from); took > 500*time.Millisecond { // as without such a router
			t.Errorf("the standby answered %v after the plug was pulled", took)
		}
	})
}

// heardAt is when somebody was first heard after a moment.
func heardAt(v lab.View, from time.Time, who string) (time.Time, bool) {
	for _, c := range v.Changes {
		if !c.At.Before(from) && slices.Contains(c.Who, who) {
			return c.At, true
		}
	}
	return time.Time{}, false
}

func TestPermanentVIPStaysSilentWhenTheDaemonEnds(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		p := netip.PrefixFrom(s.VIP, s.VIP.BitLen())
		n := s.Nodes[1]
		s.must(n.AddAddr(p))
		s.must(s.StartNode(1))
		s.says(n, "a vip is on the link for good, this node cannot lead")
		s.must(s.StartNode(0))
		s.takenOver(s.Nodes[0])
		s.begin()
		s.must(s.TermNode(s.soon(), 1))
		if a := s.in(n.Host, "release", "--config", n.ConfigPath()); a.status == 0 {
			t.Errorf("release = %+v, want an error", a)
		}
		s.pass(300 * time.Millisecond)
		s.leader, s.standby = s.Nodes[0], n
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.must(n.DelAddr(p))
		if a := s.in(n.Host, "release", "--config", n.ConfigPath()); a.status != 0 {
			t.Errorf("release without the address = %+v", a)
		}
		s.bare(n.Host)
	})
}
