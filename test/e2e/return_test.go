package e2e

import (
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

func TestReturningLeaderChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*scene)
	}{
		{"after kill -9", func(s *scene) { s.KillNode(s.leader.Index) }},
		{"after SIGTERM", func(s *scene) { s.must(s.TermNode(s.soon(), s.leader.Index)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{})
				old := s.leader
				c.end(s)
				s.takenOver(s.standby)
				s.pass(lapse) // the dead leader's kernel still answered
				s.leader, s.standby = s.standby, old
				s.begin()
				s.pass(before)
				s.must(s.StartNode(old.Index))
				s.pass(3 * time.Second) // it settles for one
				r, v := s.seen()
				s.stayed(r, v, 0)
				s.ready()
				if s.standby != old {
					t.Errorf("%s leads again", old.Name())
				}
			})
		})
	}
}

func TestRestartFasterThanNoticedLeavesOneHolder(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.leader.Index)
		<-s.leader.Procs[0].Done() // its sockets are closed
		s.must(s.StartNode(s.leader.Index))
		s.takenOver(s.standby)
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.moved(r, v, time.Second, lapse)
		s.says(s.leader, "swept", "vip="+s.VIP.String())
		s.ready()
	})
}

func TestNodesStartedAtOnceHaveOneHolder(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		for i := range s.Nodes {
			s.must(s.StartNode(i))
		}
		s.ready()
		s.pass(2 * time.Second)
		_, v := s.seen()
		s.stayed(lab.Report{}, v, 0)
		for _, n := range s.Nodes {
			s.says(n, "node joined")
		}
		s.says(s.leader, "took over", "nobody holds")
	})
}

func TestNodeWithoutItsPeerClaimsAfterSettling(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		s.must(s.StartNode(1))
		alone := s.Nodes[1]
		began := time.Now()
		s.takenOver(alone)
		_, v := s.seen()
		if v.None.Longest < 900*time.Millisecond || v.None.Longest > 6*time.Second || len(v.Holders()) != 1 {
			t.Errorf("observer saw %s, want one holder after settling for one second", v)
		}
		if st := s.status(alone); st.State != api.Leader || len(st.Peers) != 1 || st.Peers[0].State != api.PeerUnknown {
			t.Errorf("the node says %s and of its peers %+v; want a leader with a peer never heard", st.State, st.Peers)
		}
		s.says(alone, "could not join")
		s.t.Logf("it led after %v", time.Since(began))

		s.begin() // and its peer, which is preferred, changes nothing when it comes
		s.leader, s.standby = alone, s.Nodes[0]
		s.must(s.StartNode(0))
		s.pass(3 * time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.says(alone, "peer heard", "peer="+s.Nodes[0].Name())
		s.ready()
	})
}
