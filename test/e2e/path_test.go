package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// cabled makes a scene whose nodes have a cable of their own between them, as a second path.
func cabled(t *try) (*scene, [2]*lab.NIC) {
	t.Helper()
	end := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 9, byte(i + 1)}) }
	s := build(t, lab.PairConfig{Edit: func(n *lab.Node, config string) string {
		paths := fmt.Sprintf("cluster:\n  mirrors: off\n  paths:\n    - {bind: %s, peers: [%s]}\n", end(n.Index), end(1-n.Index))
		return strings.Replace(config, "cluster:\n", paths, 1)
	}})
	var ends [2]*lab.NIC
	for i, n := range s.Nodes {
		var err error
		ends[i], err = n.NIC("eth1", "cable", netip.PrefixFrom(end(i), 24))
		s.must(err)
	}
	for i := range s.Nodes {
		s.must(s.StartNode(i))
	}
	s.ready()
	s.begin()
	return s, ends
}

// Losing one of two paths between the nodes changes nothing but what status and log say.
func TestLosingOneOfTwoPathsMovesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		cut    func(*scene, [2]*lab.NIC) (*lab.Fault, error)
		broken int // path
	}{
		{"the cable", func(_ *scene, ends [2]*lab.NIC) (*lab.Fault, error) { return ends[0].Pull() }, 1},
		{"the segment between the nodes", func(s *scene, _ [2]*lab.NIC) (*lab.Fault, error) {
			return s.CutBetween(s.leader.Host, s.standby.Host)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s, ends := cabled(t)
				f := s.fault(c.cut(s, ends))
				s.pass(4 * time.Second)
				for _, n := range s.Nodes {
					st := s.status(n)
					p := st.Peers[0]
					if p.State != api.PeerAlive || !p.HearsUs || len(p.Paths) != 2 || !p.Paths[c.broken].Broken || p.Paths[1-c.broken].Broken {
						t.Errorf("%s sees %+v", n.Name(), p)
					}
					if !strings.Contains(strings.Join(st.Warnings, "\n"), "is broken") {
						t.Errorf("%s warns only of %q", n.Name(), st.Warnings)
					}
				}
				s.must(f.Heal())
				s.pass(2 * time.Second)
				r, v := s.seen()
				s.stayed(r, v, 0)
				for _, n := range s.Nodes {
					s.says(n, "path broken", fmt.Sprintf("path=%d", c.broken))
					s.says(n, "path works again", fmt.Sprintf("path=%d", c.broken))
					s.silent(n, "peer silent")
				}
				s.ready()
			})
		})
	}
}
