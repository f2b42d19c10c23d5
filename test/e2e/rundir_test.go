package e2e

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

func TestRunDirThatIsRemovedLetsNobodyBesideTheDaemon(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for _, n := range s.Nodes {
			s.must(os.RemoveAll(n.RunDir()))
		}
		s.begin()
		for _, n := range s.Nodes {
			s.in(n.Host, "release", "--config", n.ConfigPath()).is(t, 1, "", "a daemon runs already")
			p, err := n.Start("second", exec.CommandContext(t.Context(), binary(), "run", "--config", n.ConfigPath()))
			s.must(err)
			if err := p.Wait(s.soon()); err == nil {
				t.Errorf("a second daemon on %s ended well", n.Name())
			}
		}
		s.pass(time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		for _, n := range s.Nodes {
			s.silent(n, "the gate was removed")
			s.must(s.TermNode(s.soon(), n.Index))
			s.bare(n.Host)
		}
	})
}
