package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// agree is how far a node's own account may be from what the observer saw: its step at either end, and a busy machine.
const agree = 30 * time.Millisecond

// within asserts that what was seen is what a node says, as far as that says anything.
func (s *scene) within(what string, says journal.Span, seen time.Duration) {
	s.t.Helper()
	s.t.Logf("%s: the node says %s, the observer saw %v", what, says, seen.Round(time.Millisecond))
	if seen < says.Min-agree || !says.Open && seen > says.Max+agree {
		s.t.Errorf("%s: the node says %s, the observer saw %v", what, says, seen)
	}
}

// account is what a node says of the last move to it.
func (s *scene) account(n *lab.Node) api.Failover {
	s.t.Helper()
	st := s.status(n)
	if len(st.Failovers) == 0 {
		s.t.Fatalf("%s knows of no move", n.Name())
	}
	return st.Failovers[0]
}

// explain runs `tandem explain` against a node.
func (s *scene) explain(n *lab.Node, args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), binary(), append([]string{"explain", "--socket", n.Socket()}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("tandem explain %v: %v: %s", args, err, out)
	}
	return string(out)
}

// told asserts that the line after the move, the status and the explanation tell cause, and that nobody and dual agree with the observer.
func (s *scene) told(kind api.MoveKind, message, cause string) {
	s.t.Helper()
	_, v := s.seen()
	s.says(s.standby, message, "from="+s.leader.Name(), "to="+s.standby.Name(), cause, "steps=", "nobody=", "dual=")
	f := s.account(s.standby)
	if f.Kind != kind || !strings.Contains(f.Cause, cause) || f.From != s.leader.Name() || len(f.Steps) == 0 {
		s.t.Errorf("status tells of %+v, want a %s because of %q", f, kind, cause)
	}
	s.within("nobody", f.Nobody, v.None.Longest)
	s.within("dual", f.Dual, v.Dual.Total)
	out := s.explain(s.standby, "--last")
	for _, want := range []string{string(kind) + " from " + s.leader.Name(), cause, "decided to hold"} {
		if !strings.Contains(out, want) {
			s.t.Errorf("tandem explain --last does not say %q:\n%s", want, out)
		}
	}
}

func TestTheAccountOfAKilledLeaderIsRight(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		if out := s.explain(s.standby); !strings.Contains(out, s.standby.Name()+" is standby because "+s.leader.Name()+" leads") {
			t.Errorf("tandem explain: %s", out)
		}
		s.KillNode(s.leader.Index)
		s.takenOver(s.standby)
		s.told(api.Takeover, "took over after a failure", "'s process died")

		died := s.leader
		<-died.Procs[0].Done()
		s.must(s.StartNode(died.Index)) // and it still knows what it saw
		s.ready()
		out := s.explain(died, "--since", "1h")
		for _, want := range []string{"this node holds and has announced the VIP", "-- the daemon was started again --"} {
			if !strings.Contains(out, want) {
				t.Errorf("after its restart the old leader does not tell %q:\n%s", want, out)
			}
		}
	})
}

func TestTheAccountOfAHungLeaderIsRight(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.StopNode(s.leader.Index)
		s.takenOver(s.standby)
		s.told(api.Takeover, "took over after a failure", " hung")
	})
}

func TestTheAccountOfAPulledPlugIsRight(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		f := s.fault(s.PullAtSwitch(s.leader.Host))
		s.takenOver(s.standby)
		s.told(api.Takeover, "took over after a failure", "is gone: neither beats nor answers")
		s.must(f.Heal())
	})
}

func TestTheAccountOfAHandoverIsRight(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.must(s.TermNode(s.soon(), s.leader.Index))
		s.takenOver(s.standby)
		s.told(api.Handover, "took over by handover", "was asked to stop")
	})
}

func TestTheAccountOfAMeetingIsRight(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Edit: noMirrors})
		f := s.fault(s.CutBetween(s.leader.Host, s.standby.Host))
		s.pass(2 * time.Second)
		s.must(f.Heal())
		s.pass(2 * time.Second)
		s.seen()
		for _, n := range s.Nodes {
			s.says(n, "one node holds the VIP again", "let_go=", "reason=", "dual=")
		}
	})
}
