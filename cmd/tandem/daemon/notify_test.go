package daemon

import (
	"testing"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/notify"
)

func TestWhatIsSoForAMomentIsNoEvent(t *testing.T) {
	fit := cluster.Fitness{Fit: true}
	for _, c := range []struct {
		s            cluster.Status
		event        notify.Event
		peer, leader string
	}{
		{cluster.Status{Settled: true, Fitness: fit}, notify.Standby, "", ""},
		{cluster.Status{Settled: true, Fitness: fit, Peers: []cluster.PeerStatus{{Peer: election.Peer{Name: "lb2", Holds: true}, State: cluster.PeerAlive}}}, notify.Standby, "", "lb2"},
		{cluster.Status{Fitness: fit}, "", "", ""},
		{cluster.Status{Hold: true, Fitness: fit}, "", "", ""},
		{cluster.Status{Node: "lb1", Hold: true, Holds: true, Fitness: fit}, notify.Leader, "", "lb1"},
		{cluster.Status{Node: "lb1", Hold: true, Holds: true, Rival: "lb2", Fitness: fit}, notify.Dual, "lb2", "lb1"},
		{cluster.Status{Hold: true, Holds: true, Reason: election.ReasonHanding, Fitness: fit}, "", "", ""},
		{cluster.Status{Leaving: true, Fitness: fit}, "", "", ""},
		{cluster.Status{Settled: true, Link: "no carrier"}, notify.Unfit, "", ""},
		{cluster.Status{Settled: true, Maintenance: true, Fitness: fit}, notify.Maintenance, "", ""},
	} {
		if got := became(c.s); got.Event != c.event || got.Peer != c.peer || got.Leader != c.leader {
			t.Errorf("%+v is %+v, want %q, peer %q, leader %q", c.s, got, c.event, c.peer, c.leader)
		}
	}
}
