package e2e

import (
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// lapse is how long a dead or hung leader's kernel may go on answering: the gate shuts when it was not renewed for cluster.failover (200 ms).
const lapse = 400 * time.Millisecond

func TestStandbyTakesOverWhenEverythingIsKilled(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, 500*time.Millisecond, lapse)
		s.says(s.standby, "peer crashed", "peer="+s.leader.Name(), "held=true")
		s.says(s.standby, "claimed", "vip="+s.VIP.String())
		s.says(s.standby, "took over", "from="+s.leader.Name(), "took=")
		s.until("the lease of the dead leader's address has ended", func() bool { return !s.has(s.leader.Host) })
	})
}

func TestStandbyTakesOverWhenTheLeaderHangs(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.StopNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, time.Second, 100*time.Millisecond)
		s.says(s.standby, "peer silent", "peer="+s.leader.Name(), "held=true")
		s.says(s.standby, "took over", "from="+s.leader.Name())
		s.until("the lease of the hung leader's address has ended", func() bool { return !s.has(s.leader.Host) })
	})
}

// TestLeaderThatCannotDecideCannotAnswer: the thread that beats must not keep a dead mind alive.
func TestLeaderThatCannotDecideCannotAnswer(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		f, err := s.leader.Deadlock()
		s.must(err)
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, time.Second, 100*time.Millisecond)
		s.says(s.standby, "peer silent", "peer="+s.leader.Name(), "held=true")
		s.must(f.Heal())
		resumed := time.Now()
		s.pass(2 * time.Second)
		if v := s.Watch.View(resumed, time.Now()); v.Dual.Total > 2*step {
			t.Errorf("two nodes answered after the leader could decide again: %s", v)
		}
		if st := s.status(s.leader); st.State != api.Standby {
			t.Errorf("the node that could not decide says %s, want standby", st.State)
		}
	})
}

func TestHungLeaderThatGoesOnIsAStandby(t *testing.T) {
	for _, c := range []struct {
		name string
		hung time.Duration
	}{
		{"its address still there", time.Second},
		{"its address gone", 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{})
				s.StopNode(s.leader.Index)
				s.takenOver(s.standby)
				s.pass(c.hung - time.Since(s.from))
				resumed := time.Now()
				s.ContNode(s.leader.Index)
				s.pass(2 * time.Second)
				r, v := s.seen()
				s.moved(r, v, time.Second, 100*time.Millisecond)
				if v := s.Watch.View(resumed, time.Now()); v.Dual.Total > 2*step {
					t.Errorf("two nodes answered after the hung one went on: %s", v)
				}
				if r := s.load.Report(resumed, time.Now().Add(-lab.Patience)); r.Failed > 0 {
					t.Errorf("requests failed after the hung node went on: %s", r)
				}
				if st := s.status(s.leader); st.State != api.Standby || st.Leader != s.standby.Name() {
					t.Errorf("the node that hung says %s, leader %q; want standby, leader %q", st.State, st.Leader, s.standby.Name())
				}
				s.says(s.leader, "was late", "holds=true")
				s.silent(s.leader, "took over")
			})
		})
	}
}

func TestAskedToEndTheLeaderHandsOver(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.must(s.TermNode(s.soon(), s.leader.Index)) // exit status 0
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, 100*time.Millisecond, 4*step)
		if r.Failed > 3 { // at most those under way
			t.Errorf("%d requests failed at a planned end", r.Failed)
		}
		if v.None.Longest > 50*time.Millisecond+2*r.Late {
			t.Errorf("nobody answered for %v", v.None.Longest)
		}
		s.bare(s.leader.Host)
		s.says(s.leader, "handing over", "peer="+s.standby.Name())
		s.says(s.leader, "stopped")
		s.says(s.standby, "took over", "from="+s.leader.Name())
		s.silent(s.standby, "peer crashed")
	})
}

func TestAskedToEndTheStandbyJustLeaves(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.must(s.TermNode(s.soon(), s.standby.Index))
		s.pass(time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.bare(s.standby.Host)
		s.says(s.leader, "peer left", "peer="+s.standby.Name())
		s.silent(s.leader, "peer crashed")
	})
}
