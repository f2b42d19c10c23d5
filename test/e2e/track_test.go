package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// tracking adds a section track to the nodes' configuration.
func tracking(section string) lab.PairConfig {
	return lab.PairConfig{Edit: func(_ *lab.Node, config string) string { return config + "track:\n" + section }}
}

// tracked finds what a node knows of something that it tracks.
func (s *scene) tracked(n *lab.Node, kind, name string) api.Tracked {
	s.t.Helper()
	for _, x := range s.status(n).Tracked {
		if x.Kind == kind && x.Name == name {
			return x
		}
	}
	s.t.Fatalf("%s does not track the %s %s", n.Name(), kind, name)
	return api.Tracked{}
}

// handedOver asserts that the VIP went to the standby by a handover, which costs no request.
func (s *scene) handedOver() {
	s.t.Helper()
	s.takenOver(s.standby)
	r, v := s.seen()
	s.moved(r, v, 100*time.Millisecond, 20*time.Millisecond)
	if r.Failed > 0 {
		s.t.Errorf("%d requests failed in a handover", r.Failed)
	}
	if !s.said(s.leader, "fitness got worse") {
		s.t.Errorf("the log of %s does not say why", s.leader.Name())
	}
}

func TestTrackedInterfaceMovesTheVIP(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, tracking("  interfaces: [{interface: eth1}]\n"))
		nics := map[*lab.Node]*lab.NIC{}
		for i, n := range s.Nodes {
			nic, err := n.NIC("eth1", "inside")
			s.must(err)
			nics[n] = nic
			s.must(s.StartNode(i))
		}
		s.ready()
		s.begin()
		f := s.fault(nics[s.leader].Pull())
		s.handedOver()
		if x := s.tracked(s.leader, "interface", "eth1"); x.State != api.Failing || x.Reason != "no carrier" {
			t.Errorf("status of eth1: %+v", x)
		}
		s.must(f.Heal())
		s.until("it is well again", func() bool { return s.tracked(s.leader, "interface", "eth1").State == api.Well })
		s.pass(time.Second)
		if now := s.Leader(); now != s.standby {
			t.Errorf("the VIP went back by itself")
		}
	})
}

func TestTrackedGatewayThatOneNodeDoesNotReach(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, tracking(fmt.Sprintf("  hold: 1s\n  gateways: [{address: %s, fall: 2}]\n", lab.Addr4(lab.GatewayID))))
		s.until("it has answered", func() bool {
			return s.tracked(s.leader, "gateway", lab.Addr4(lab.GatewayID).String()).State == api.Well
		})
		s.begin()
		s.fault(s.CutBetween(s.leader.Host, s.Gateway))
		s.handedOver()
	})
}

func TestHangingScriptIsKilledWithItsChildren(t *testing.T) {
	story(t, func(t *try) {
		dir := t.TempDir()
		s := build(t, tracking(fmt.Sprintf(`  hold: 1s
  scripts:
    - {name: uplink, command: [/bin/sh, -c, "test -e %s/hang-$0 && { setsid sleep 77777 & sleep 77777; }; true", NODE], interval: 500ms, timeout: 300ms, fall: 2}
`, dir)))
		for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
			s.must(os.Chmod(d, 0o755))
		}
		edit := s.Config.Edit
		s.Config.Edit = func(n *lab.Node, c string) string { return strings.ReplaceAll(edit(n, c), "NODE", n.Name()) }
		for i := range s.Nodes {
			s.must(s.StartNode(i))
		}
		s.ready()
		s.begin()
		hang := filepath.Join(dir, "hang-"+s.leader.Name())
		s.must(os.WriteFile(hang, nil, 0o644))
		s.handedOver()
		if x := s.tracked(s.leader, "script", "uplink"); !strings.Contains(x.Reason, "killed with its children") {
			t.Errorf("its reason: %q", x.Reason)
		}
		s.must(os.Remove(hang))
		s.until("it is well again", func() bool { return s.tracked(s.leader, "script", "uplink").State == api.Well })
		for _, pid := range s.leader.Pids() {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(b), "77777") {
				t.Errorf("process %d of the script lives: %q", pid, b)
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	})
}

func TestWhatFailsOnBothMovesNothing(t *testing.T) {
	story(t, func(t *try) {
		file := filepath.Join(t.TempDir(), "well")
		s := build(t, tracking(fmt.Sprintf("  files: [{path: %s, fall: 2, weight: 254}]\n  processes: [{process: no-such-thing, fall: 1}]\n", file)))
		s.must(os.WriteFile(file, nil, 0o644))
		for i := range s.Nodes {
			s.must(s.StartNode(i))
		}
		s.ready()
		s.begin()
		s.must(os.Remove(file))
		for _, n := range s.Nodes {
			s.until(n.Name()+" has noticed", func() bool { return s.tracked(n, "file", file).State == api.Failing })
		}
		s.pass(6 * time.Second)
		_, v := s.seen()
		if v.None.Total > 50*time.Millisecond {
			t.Errorf("nobody held for %v", v.None.Total)
		}
		if n := len(moves(v)); n > 1 {
			t.Errorf("the VIP was at %v", moves(v))
		}
	})
}

func TestLeaderCutFromItsBackendsHandsOverOnce(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, tracking("  hold: 2s\n"))
		var cuts []*lab.Fault
		for _, b := range s.Backends {
			cuts = append(cuts, s.fault(s.CutBetween(s.leader.Host, b.Host)))
		}
		s.takenOver(s.standby)
		for _, f := range cuts {
			s.must(f.Heal())
		}
		s.pass(5 * time.Second)
		_, v := s.seen()
		if got := strings.Join(moves(v), " "); got != s.leader.Name()+" "+s.standby.Name() {
			t.Errorf("the VIP was at %s, want one move", got)
		}
	})
}

// TestLeaderThatCannotAcceptHandsOver: no descriptor is left to the leader.
func TestLeaderThatCannotAcceptHandsOver(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		pid := s.leader.Procs[0].Pid()
		var was unix.Rlimit
		s.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was))
		s.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 4, Max: was.Max}, nil))
		s.takenOver(s.standby)
		_, v := s.seen()
		if got := strings.Join(moves(v), " "); got != s.leader.Name()+" "+s.standby.Name() {
			t.Errorf("the VIP was at %s, want one move", got)
		}
		if v.Dual.Total > 20*time.Millisecond {
			t.Errorf("two held for %v", v.Dual.Total)
		}
		if !s.said(s.leader, "fitness got worse", "cannot connect to itself") {
			t.Error("its log does not say why")
		}
		s.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil))
		s.pass(5 * time.Second)
		if now := s.Leader(); now != s.standby {
			t.Error("the VIP went back at once")
		}
	})
}

func TestFloodAgainstBothEmptiesNeither(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		target := netip.AddrPortFrom(s.VIP, lab.PortHTTP)
		f := s.fault(s.Crowd.SYNFlood(target, 10_000, s.Nodes[0].Host, s.Nodes[1].Host))
		_, err := s.Crowd.Crowd(target, 500)
		s.must(err)
		s.pass(12 * time.Second)
		s.must(f.Heal())
		r, v := s.seen()
		if v.None.Longest > 500*time.Millisecond {
			t.Errorf("nobody held for %v", v.None.Longest)
		}
		if n := len(moves(v)); n > 2 {
			t.Errorf("the VIP was at %v: at most one move a minute is allowed", moves(v))
		}
		t.Logf("%d of %d requests failed", r.Failed, r.Attempts)
		s.served()
	})
}
