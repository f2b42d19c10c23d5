package e2e

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// leased is how long a node that hangs without a gate may go on answering: the lease of its addresses (2 s), and what the kernel takes to notice that it has ended.
const leased = 2*time.Second + 400*time.Millisecond

func TestLeaderThatPanicsIsReplaced(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.must(s.leader.Procs[0].Signal(unix.SIGABRT)) // Go writes every goroutine's stack and ends, as in a panic
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, 500*time.Millisecond, lapse)
		s.says(s.standby, "took over", "from="+s.leader.Name())
		s.until("the lease of the dead leader's address has ended", func() bool { return !s.has(s.leader.Host) })
	})
}

func TestPausedLeaderThatGoesOnIsAStandby(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		pause, err := s.Pause(s.leader.Host)
		if errors.Is(err, lab.ErrNoFreezer) && os.Getenv("TANDEM_NEED_ROOT") != "1" {
			t.Skip(err)
		}
		s.must(err)
		s.takenOver(s.standby)
		s.pass(3*time.Second - time.Since(s.from))
		resumed := time.Now()
		s.must(pause.Heal())
		s.pass(2 * time.Second)
		r, v := s.seen()
		s.moved(r, v, time.Second, 100*time.Millisecond)
		if v := s.Watch.View(resumed, time.Now()); v.Dual.Total > 0 {
			t.Errorf("two nodes answered after the paused one went on: %s", v)
		}
		if r := s.load.Report(resumed, time.Now().Add(-lab.Patience)); r.Failed > 0 {
			t.Errorf("requests failed after the paused node went on: %s", r)
		}
		if st := s.status(s.leader); st.State != api.Standby {
			t.Errorf("the node that was paused says %s, want standby", st.State)
		}
		s.says(s.leader, "was late", "holds=true")
		s.silent(s.leader, "took over")
	})
}

func TestHungLeaderWithoutRulesIsSilencedByItsLease(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.StopNode(s.leader.Index)
		s.must(s.leader.Do(flushRules)) // by somebody else, when nobody is left who could put them back
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, leased+time.Second, 100*time.Millisecond)
		if until := lastOf(v, s.leader.Name()); until.Sub(s.from) > leased+2*step {
			t.Errorf("the hung leader answered for %v, at most %v is allowed", until.Sub(s.from), leased)
		}
	})
}

func TestNodesWithoutNftablesAreSilencedByTheLease(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Launch: withoutNftables})
		for _, n := range s.Nodes {
			if st := s.status(n); st.Gate == "nftables" || len(st.Warnings) == 0 {
				t.Errorf("%s without nftables says: gate %q, warnings %q", n.Name(), st.Gate, st.Warnings)
			}
			s.logs[n] = 0
			s.says(n, "no gate: a hung daemon is silenced by the lease of its addresses only")
			s.begin()
		}
		s.StopNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v := s.seen()
		s.moved(r, v, leased+time.Second, 100*time.Millisecond)
		if until := lastOf(v, s.leader.Name()); until.Sub(s.from) > leased+2*step {
			t.Errorf("the hung leader answered for %v, at most %v is allowed", until.Sub(s.from), leased)
		}
	})
}

func TestReleaseThatIsKilledIsMadeGoodByTheNext(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.leader.Index)
		for wait := range 6 { // before, while and after it touches the kernel
			cmd := exec.Command(binary(), "release", "--config", s.leader.ConfigPath()) //nolint:noctx // it is killed
			p, err := s.leader.Start("release", cmd)
			s.must(err)
			s.pass(time.Duration(5*wait) * time.Millisecond)
			s.must(p.Signal(unix.SIGKILL))
			<-p.Done()
		}
		if a := s.in(s.leader.Host, "release", "--config", s.leader.ConfigPath()); a.status != 0 {
			t.Errorf("release after releases that were killed: %+v", a)
		}
		s.bare(s.leader.Host)
		s.takenOver(s.standby)
		s.stable(s.standby)
	})
}

func TestStartSweepsWhatACrashHasLeft(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.standby.Index)
		s.KillNode(s.leader.Index)
		if !s.has(s.leader.Host) {
			t.Error("the dead leader's address is gone at once: nothing to sweep")
		}
		s.must(s.StartNode(s.leader.Index))
		s.says(s.leader, "swept", "vip="+s.VIP.String())
		s.takenOver(s.leader)
		s.must(s.TermNode(s.soon(), s.leader.Index))
		s.bare(s.leader.Host)
	})
}

// stable asserts that the node alone answers for a while.
func (s *scene) stable(n *lab.Node) {
	s.t.Helper()
	from := time.Now()
	s.pass(500 * time.Millisecond)
	if got := s.Watch.View(from, time.Now()).Holders(); !slices.Equal(got, []string{n.Name()}) {
		s.t.Errorf("%v answer for the VIP, want %s", got, n.Name())
	}
}

// withoutNftables launches tandem where the kernel has no nftables.
func withoutNftables(n *lab.Node) ([]*lab.Proc, error) {
	if err := n.WriteConfig(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := n.Start(n.Name(), exec.Command(self, lab.NoNftables, binary(), "run", "--config", n.ConfigPath())) //nolint:noctx // ends with the lab
	return []*lab.Proc{p}, err
}

// flushRules is `nft flush ruleset`.
func flushRules() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.FlushRuleset()
	return c.Flush()
}

// lastOf is when a host ceased to answer, or zero.
func lastOf(v lab.View, name string) (end time.Time) {
	was := false
	for _, c := range v.Changes {
		is := slices.Contains(c.Who, name)
		if was && !is {
			end = c.At
		}
		was = is
	}
	return end
}
