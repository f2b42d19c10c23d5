package e2e

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lb/tandem/cmd/tandem/doctor"
	"github.com/tandem-lb/tandem/test/lab"
)

// TestDoctor asks on both nodes of a pair that is well, and then of one to which something is done.
func TestDoctor(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{IPv6: true})
		ask := func(n *lab.Node) (all []doctor.Finding, status int) {
			a := s.order(n, "doctor", "--json", "--config", n.ConfigPath())
			s.must(json.Unmarshal([]byte(a.stdout), &all))
			return all, a.status
		}
		wants := func(n *lab.Node, about, what string) {
			t.Helper()
			all, status := ask(n)
			if status != 1 || !slices.ContainsFunc(all, func(f doctor.Finding) bool {
				return f.Verdict == doctor.Wrong && f.About == about && strings.Contains(f.What, what)
			}) {
				t.Errorf("on %s: %d %+v, want something wrong about %s: %s", n.Name(), status, all, about, what)
			}
		}
		for _, n := range s.Nodes {
			if all, status := ask(n); status != 0 || doctor.Sick(all) {
				t.Errorf("on %s, where all is well: %d %+v", n.Name(), status, all)
			}
		}
		f, err := s.FilterIP(s.leader.Host, s.standby.Host)
		s.must(err)
		wants(s.standby, "peer "+s.leader.Addr().String(), "TCP to its port 7947: no answer")
		s.must(f.Heal())
		s.ready()
		taken := netip.PrefixFrom(s.VIP, s.VIP.BitLen())
		s.must(s.Stranger.AddAddr(taken))
		wants(s.standby, "vip "+s.VIP.String(), "leads, and "+s.Stranger.MAC().String()+" answers for it")
		wants(s.leader, "vip "+s.VIP.String(), "held here, and "+s.Stranger.MAC().String())
		s.must(s.Stranger.DelAddr(taken))
	})
}
