package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// A cut between the nodes, while both reach the gateway, the backends and the clients: beats come by mirrors, and nothing moves.
func TestCutBetweenTheNodesMovesNothingWithMirrors(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(*scene) (*lab.Fault, error)
		last time.Duration
	}{
		{"no frame between the nodes", func(s *scene) (*lab.Fault, error) { return s.CutBetween(s.leader.Host, s.standby.Host) }, 10 * time.Second},
		{"leader to standby", func(s *scene) (*lab.Fault, error) { return s.CutOneWay(s.leader.Host, s.standby.Host) }, 3 * time.Second},
		{"standby to leader", func(s *scene) (*lab.Fault, error) { return s.CutOneWay(s.standby.Host, s.leader.Host) }, 3 * time.Second},
		{"IP filtered", func(s *scene) (*lab.Fault, error) { return s.FilterIP(s.leader.Host, s.standby.Host) }, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{})
				f := s.fault(c.cut(s))
				s.pass(c.last)
				s.must(f.Heal())
				s.pass(2 * time.Second)
				r, v := s.seen()
				s.stayed(r, v, 0)
				for _, n := range s.Nodes {
					s.says(n, "beats go by mirrors", "mirrors=")
					s.says(n, "a direct path works again", "delivered=")
					s.silent(n, "peer silent")
				}
				s.ready()
			})
		})
	}
}

// The same by ICMPv6, where the nodes speak IPv6 to each other and the mirrors are named.
func TestCutBetweenIPv6NodesMovesNothingWithMirrors(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{IPv6: true, Edit: func(n *lab.Node, config string) string {
			for _, x := range n.Pair.Nodes {
				config = strings.ReplaceAll(config, x.Addr().String()+":7946", "["+x.Addr6().String()+"]:7946")
			}
			config = strings.Replace(config, "  bind: [", "  bind: \"[", 1)
			config = strings.Replace(config, "]:7946\n", "]:7946\"\n", 1)
			return strings.Replace(config, "cluster:\n", "cluster:\n  mirrors: [\""+n.Pair.Gateway.Addr6().String()+"\"]\n", 1)
		}})
		f := s.fault(s.CutBetween(s.leader.Host, s.standby.Host))
		s.pass(3 * time.Second)
		s.must(f.Heal())
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		for _, n := range s.Nodes {
			s.says(n, "beats arrive by mirrors", "mirrors="+s.Gateway.Addr6().String())
			s.silent(n, "peer silent")
		}
		s.ready()
	})
}

// noMirrors is a configuration without them.
func noMirrors(_ *lab.Node, config string) string {
	return strings.Replace(config, "cluster:\n", "cluster:\n  mirrors: off\n", 1)
}
