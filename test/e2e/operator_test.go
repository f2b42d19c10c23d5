package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// order gives a node an order as an operator does.
func (s *scene) order(n *lab.Node, args ...string) answer {
	s.t.Helper()
	a := s.in(n.Host, append(args, "--socket", n.Socket())...)
	s.t.Logf("tandem %s on %s: %d %s%s", strings.Join(args, " "), n.Name(), a.status, a.stdout, a.stderr)
	return a
}

// swap makes the standby the leader of what follows.
func (s *scene) swap() {
	s.leader, s.standby = s.standby, s.leader
	s.begin()
}

func TestHandoverMovesTheVIPFromEitherNode(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for _, at := range []string{"the leader", "the standby"} {
			n := s.leader
			if at == "the standby" {
				n = s.standby
			}
			s.begin()
			a := s.order(n, "handover", "--json")
			var d api.Done
			if err := json.Unmarshal([]byte(a.stdout), &d); err != nil || a.status != 0 || a.stderr != "" {
				t.Fatalf("asked at %s: %v: %+v", at, err, a)
			}
			if who := s.Watch.Now(); len(who) != 1 || who[0] != s.standby.Name() {
				t.Errorf("when the command returned %v answered for the VIP", who)
			}
			s.takenOver(s.standby)
			r, v := s.seen()
			s.moved(r, v, 100*time.Millisecond, 4*step)
			if r.Failed > 3 || v.None.Longest > 50*time.Millisecond+2*r.Late {
				t.Errorf("%d requests failed, nobody answered for %v", r.Failed, v.None.Longest)
			}
			if !d.Moved || d.From != s.leader.Name() || d.To != s.standby.Name() || d.AwayMS < 0 || d.AwayMS > 50 || d.TookMS <= d.AwayMS {
				t.Errorf("asked at %s it told %+v", at, d)
			}
			s.says(s.leader, "operator asked", "what=handover", "uid 0, pid ")
			s.says(s.leader, "operator's word was followed", "to="+s.standby.Name(), "away=")
			for _, n := range s.Nodes {
				if out := s.order(n, "status").stdout; !strings.HasPrefix(out, s.standby.Name()+" leads (set by hand)") {
					t.Errorf("status of %s: %.80s", n.Name(), out)
				}
			}
			s.swap()
		}
		s.order(s.leader, "handover", "--to", s.leader.Name()).is(t, 0, s.leader.Name()+" leads already", "")
	})
}

func TestHandoverStandsAgainstPreemption(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Edit: func(_ *lab.Node, config string) string { // the first node has the higher priority
			return strings.Replace(config, "cluster:\n", "cluster:\n  preempt: true\n  preempt_delay: 100ms\n", 1)
		}})
		preferred, other := s.Nodes[0], s.Nodes[1]
		if s.leader != preferred {
			t.Fatalf("%s leads", s.leader.Name())
		}
		s.begin()
		s.order(other, "handover", "--to", other.Name()).is(t, 0, other.Name()+" leads, handed over from", "")
		s.pass(11 * time.Second) // after a handover preemption waits for ten
		r, v := s.seen()
		s.moved(r, v, 100*time.Millisecond, 4*step)
	})
}

func TestHandoverIsRefusedWithTheReason(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.begin()
		s.order(s.leader, "handover", "--to", "lb9").is(t, 1, "", "lb9 is not a node of this cluster; its peers: "+s.standby.Name())
		s.order(s.standby, "handover", "--to", "lb9").is(t, 1, "", s.leader.Name()+": lb9 is not a node of this cluster")
		s.order(s.standby, "maintenance", "on").is(t, 0, "maintenance is on", "")
		s.order(s.leader, "handover").is(t, 1, "", "no standby could take over: "+s.standby.Name()+" is in maintenance")
		s.order(s.leader, "maintenance", "on").is(t, 1, "", "With --force")
		s.order(s.standby, "maintenance", "off").is(t, 0, "maintenance is off", "")
		s.StopNode(s.standby.Index)
		s.pass(500 * time.Millisecond)
		s.order(s.leader, "handover").is(t, 1, "", "no standby could take over: "+s.standby.Name()+" is silent")
		s.ContNode(s.standby.Index)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.says(s.leader, "operator's word was not followed", "lb9 is not a node")
	})
}

func TestHandoverThatFailsHalfWayEndsWithTheOldLeader(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.begin()
		s.StopNode(s.standby.Index) // it is silent only after 200 ms: until then it can be ordered
		s.order(s.leader, "handover").is(t, 1, "", s.leader.Name()+" leads on, with term")
		s.ContNode(s.standby.Index)
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.says(s.leader, "handover cancelled")
	})
}

func TestInterruptedHandoverGoesOn(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.StopNode(s.standby.Index)
		cmd := exec.CommandContext(t.Context(), binary(), "handover", "--socket", s.leader.Socket())
		var errs strings.Builder
		cmd.Stderr = &errs
		p, err := s.leader.Start("command", cmd)
		s.must(err)
		s.pass(50 * time.Millisecond)
		s.must(cmd.Process.Signal(syscall.SIGINT))
		err = p.Wait(s.soon())
		s.ContNode(s.standby.Index) // the order has waited, and is still good
		if err == nil || !strings.Contains(errs.String(), "the handover goes on without this command") {
			t.Errorf("interrupted: %v, %q", err, errs.String())
		}
		s.pass(time.Second)
		if st := s.status(s.leader); st.Doing != "" {
			t.Errorf("a second later it says: %s", st.Doing)
		}
	})
}

func TestMaintenanceIsSeenByBothAndSurvivesARestart(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.begin()
		old, now := s.leader, s.standby
		s.order(old, "maintenance", "on").is(t, 0, now.Name()+" leads, handed over from "+old.Name(), "")
		s.takenOver(now)
		r, v := s.seen()
		s.moved(r, v, 100*time.Millisecond, 4*step)
		if r.Failed > 3 {
			t.Errorf("%d requests failed", r.Failed)
		}
		s.must(s.TermNode(s.soon(), old.Index))
		s.must(s.StartNode(old.Index))
		s.until("both say that it is in maintenance", func() bool {
			a, err := api.Dial(old.Socket()).Status(t.Context())
			if err != nil || a.State != api.InMaintenance || !a.Maintenance {
				return false
			}
			b := s.status(now)
			return len(b.Peers) == 1 && b.Peers[0].Maintenance && !b.Peers[0].Fit
		})
		s.pass(1500 * time.Millisecond) // it would have settled
		s.KillNode(now.Index)
		s.pass(2 * time.Second)
		if who := s.Watch.Now(); len(who) != 0 {
			t.Errorf("%v answers for the VIP", who)
		}
		s.order(old, "maintenance", "off").is(t, 0, "maintenance is off", "")
		s.takenOver(old)
	})
}

func TestForcedMaintenanceLetsTheVIPGo(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.standby.Index)
		s.pass(500 * time.Millisecond)
		s.order(s.leader, "maintenance", "on").is(t, 1, "", "With --force")
		if who := s.Watch.Now(); len(who) != 1 {
			t.Errorf("%v answers for the VIP", who)
		}
		s.order(s.leader, "maintenance", "on", "--force").is(t, 0, "NOBODY holds it", "")
		s.pass(100 * time.Millisecond)
		if who := s.Watch.Now(); len(who) != 0 {
			t.Errorf("%v answers for the VIP", who)
		}
		s.says(s.leader, "maintenance by force: nobody is left to lead", "let_go=true")
	})
}

func TestHandoversInARowLoseNothing(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		busy, err := s.Load(2 * time.Millisecond) // so that a request is nearly always on its way
		s.must(err)
		s.must(s.WaitServed(s.soon(), busy, 200*time.Millisecond))
		s.begin()
		const times = 10
		for range times {
			s.order(s.standby, "handover").is(t, 0, s.standby.Name()+" leads, handed over from", "")
			s.leader, s.standby = s.standby, s.leader
			s.pass(300 * time.Millisecond)
		}
		_, v := s.seen()
		r := busy.Report(s.from, time.Now())
		t.Logf("busy client: %s", r)
		if v.Dual.Total > times*step || v.None.Longest > 50*time.Millisecond+2*r.Late {
			t.Errorf("observer: %s", v)
		}
		if r.Failed > 0 || r.Slowest > 500*time.Millisecond { // a SYN that is sent again costs a second
			t.Errorf("busy client: %s", r)
		}
	})
}
