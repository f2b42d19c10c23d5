package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// formations are the clusters that each story of this file is told of.
func formations(t *testing.T, tell func(*try, lab.PairConfig)) {
	for _, c := range []lab.PairConfig{
		{Nodes: 3},
		{Nodes: 5},
		{Nodes: 3, Quorum: true},
		{Nodes: 3, Witness: true},
		{Nodes: 5, Quorum: true},
	} {
		t.Run(formation(c), func(t *testing.T) {
			story(t, func(t *try) { tell(t, c) })
		})
	}
}

// formation is a name for a cluster.
func formation(c lab.PairConfig) string {
	mode := "pair mode"
	if c.Quorum || c.Witness {
		mode = "quorum"
	}
	name := fmt.Sprintf("%d nodes, %s", c.Nodes, mode)
	if c.Witness {
		name += ", one a witness"
	}
	return name
}

// dual is how long two may answer: in quorum mode never, otherwise that long.
func dual(c lab.PairConfig, d time.Duration) time.Duration {
	if c.Quorum || c.Witness {
		return 0
	}
	return d
}

func TestManyPlug(t *testing.T) {
	formations(t, func(t *try, c lab.PairConfig) {
		s := start(t, c)
		f := s.fault(s.SilentCut(s.leader.Host))
		s.takenOver(s.standby)
		s.must(f.Heal())
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.moved(r, v, time.Second, dual(c, 100*time.Millisecond))
		s.ready()
	})
}

func TestManyKill(t *testing.T) {
	formations(t, func(t *try, c lab.PairConfig) {
		s := start(t, c)
		s.KillNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, time.Second, dual(c, lapse))
		s.must(s.StartNode(s.leader.Index))
		s.pass(2 * time.Second)
		if st := s.status(s.leader); st.State != api.Standby {
			t.Errorf("the node that was killed is %s after its return, want a standby", st.State)
		}
	})
}

func TestManyHang(t *testing.T) {
	formations(t, func(t *try, c lab.PairConfig) {
		s := start(t, c)
		s.StopNode(s.leader.Index)
		s.takenOver(s.standby)
		s.pass(time.Second)
		s.ContNode(s.leader.Index)
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.moved(r, v, time.Second, dual(c, 100*time.Millisecond))
		s.ready()
	})
}

func TestManyHandover(t *testing.T) {
	formations(t, func(t *try, c lab.PairConfig) {
		s := start(t, c)
		s.must(s.TermNode(s.soon(), s.leader.Index))
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, 100*time.Millisecond, dual(c, 4*step))
		if r.Failed > 0 {
			t.Errorf("%d requests failed at a planned end", r.Failed)
		}
	})
}
