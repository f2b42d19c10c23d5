package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// TestPartitionLeavesOneHolderWhereTheMajorityIs cuts the leader and its clients off from the others, and then the segment in two with the leader on the larger side.
func TestPartitionLeavesOneHolderWhereTheMajorityIs(t *testing.T) {
	for _, c := range []lab.PairConfig{{Nodes: 3, Witness: true}, {Nodes: 5, Quorum: true}} {
		t.Run(formation(c), func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, c)
				alone := []*lab.Host{s.leader.Host}
				if c.Nodes == 5 {
					alone = append(alone, s.Nodes[4].Host)
				}
				cut := s.fault(s.Partition(alone, slices.DeleteFunc(hosts(s), func(h *lab.Host) bool { return slices.Contains(alone, h) })))
				s.takenOver(s.standby) // the observer is with the majority
				s.pass(2 * time.Second)
				s.says(s.leader, "quorum lost", "missing=")
				if st := s.status(s.leader); st.State != api.Standby || st.Quorum == nil || st.Quorum.Granted {
					t.Errorf("the old leader, without a majority, says %s, votes %+v", st.State, st.Quorum)
				}
				if s.has(s.leader.Host) {
					t.Errorf("the old leader, without a majority, has the VIP still")
				}
				s.must(cut.Heal())
				s.pass(2 * time.Second)
				r, v := s.seen()
				s.moved(r, v, time.Second, 0)
				s.says(s.leader, "quorum regained")
				s.ready()
				// Now the others are cut off: the leader keeps what it needs.
				s.begin()
				cut = s.fault(s.SilentCut(s.standby.Host))
				s.pass(2 * time.Second)
				s.must(cut.Heal())
				s.pass(time.Second)
				r, v = s.seen()
				s.stayed(r, v, 0)
			})
		})
	}
}

// hosts are all nodes' and everybody else's who asks or answers.
func hosts(s *scene) []*lab.Host {
	var list []*lab.Host
	for _, h := range s.Hosts() {
		if h.Name() != "switch" {
			list = append(list, h)
		}
	}
	return list
}

func TestNobodyHoldsWithoutAMajority(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Nodes: 3, Witness: true})
		s.KillNode(s.standby.Index)
		s.pass(time.Second)
		s.KillNode(2)
		s.until("nobody answers", func() bool { return len(s.Watch.Now()) == 0 })
		s.says(s.leader, "no longer holds", "the votes of a majority are missing")
		s.says(s.leader, "quorum lost", "missing=")
		s.must(s.StartNode(2))
		s.takenOver(s.leader)
		s.says(s.leader, "quorum regained")
	})
}

// TestPairGrowsToThreeAndBack does what docs/quorum.md says.
func TestPairGrowsToThreeAndBack(t *testing.T) {
	story(t, func(t *try) { growAndShrink(t, lab.PairConfig{Nodes: 3, Witness: true}) })
}

func growAndShrink(t *try, c lab.PairConfig) {
	pair := map[int]bool{0: true, 1: true}
	c.Edit = func(n *lab.Node, config string) string {
		if !pair[n.Index] {
			return config
		}
		third := n.Pair.Nodes[2].Addr().String()
		return strings.NewReplacer("  quorum: true\n", "", `, "`+third+`:7946"`, "").Replace(config)
	}
	s := build(t, c)
	for i := range 2 {
		s.must(s.StartNode(i))
	}
	s.until("a leader and its standby know each other", func() bool { return s.states(2) == "leader standby" || s.states(2) == "standby leader" })
	s.served()
	s.begin()
	restart := func(n *lab.Node, votes bool) {
		pair[n.Index] = !votes
		s.must(s.TermNode(s.soon(), n.Index))
		s.must(s.StartNode(n.Index))
		s.until(n.Name()+" is standby again", func() bool {
			st, err := api.Dial(n.Socket()).Status(t.Context())
			return err == nil && st.State == api.Standby && (st.Quorum != nil) == votes && (!votes || st.Quorum.Heard >= 2)
		})
	}
	change := func(votes bool) {
		leader, err := s.WaitLeader(s.soon(), s.Nodes[:2]...)
		s.must(err)
		restart(s.Nodes[1-leader.Index], votes)
		restart(leader, votes) // hands over
	}
	s.must(s.StartNode(2))
	s.until("the third node hears its peers", func() bool {
		_, err := api.Dial(s.Nodes[2].Socket()).Status(t.Context())
		return err == nil
	})
	change(true)
	s.until("three voters are in touch", func() bool {
		return !slices.ContainsFunc(s.Nodes, func(n *lab.Node) bool {
			st, err := api.Dial(n.Socket()).Status(t.Context())
			return err != nil || st.Quorum == nil || st.Quorum.Heard != 3
		})
	})
	change(false)
	s.must(s.TermNode(s.soon(), 2))
	s.pass(time.Second)
	r, v := s.seen()
	if r.Failed > 4 { // of each planned move one under way
		t.Errorf("%d requests failed while the pair grew and shrank", r.Failed)
	}
	if v.Dual.Total > 4*step || v.None.Longest > 100*time.Millisecond+2*r.Late {
		t.Errorf("while the pair grew and shrank: %s", v)
	}
}

// states are what the first nodes say that they are.
func (s *scene) states(n int) string {
	var list []string
	for _, node := range s.Nodes[:n] {
		st, err := api.Dial(node.Socket()).Status(s.t.Context())
		if err != nil {
			return err.Error()
		}
		list = append(list, string(st.State))
	}
	return strings.Join(list, " ")
}
