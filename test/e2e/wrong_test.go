package e2e

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

func TestWrongFileEndsTheStartAndTouchesNothing(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{Edit: func(_ *lab.Node, config string) string {
			config = strings.Replace(config, "  priority: 100", "  priority: 1000", 1)
			config = strings.Replace(config, "balance: round-robin", "balance: roundrobin", 1)
			return strings.Replace(config, "  interface: eth0", "  interface: eth0\n  leese: 2s", 1)
		}})
		n := s.Nodes[0]
		was := s.kernel(n.Host)
		s.must(s.StartNode(0))
		var exit *exec.ExitError
		if err := n.Procs[0].Wait(s.soon()); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("ended with %v, want exit status 2", err)
		}
		if now := s.kernel(n.Host); !slices.Equal(was, now) {
			t.Errorf("the kernel kept %v and keeps %v", was, now)
		}
		for _, problem := range []string{"cluster.priority: ", "pools[web].balance: ", "vip.leese: "} {
			s.says(n, n.ConfigPath()+":", problem)
		}
		if _, err := os.Stat(n.Socket()); err == nil {
			t.Error("it left a socket")
		}
		s.pass(300 * time.Millisecond)
		if _, v := s.seen(); len(v.Holders()) > 0 {
			t.Errorf("observer saw %s", v)
		}
	})
}

func TestWrongKeyIsToldInTheLog(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{Edit: func(n *lab.Node, config string) string {
			if n.Index == 0 {
				return config
			}
			return strings.Replace(config, "cluster.key", "other.key", 1)
		}})
		if out, err := exec.Command(binary(), "keygen", "--out", s.Path("other.key")).CombinedOutput(); err != nil {
			t.Fatalf("keygen: %v: %s", err, out)
		}
		s.must(s.StartNode(0))
		s.takenOver(s.Nodes[0])
		s.must(s.StartNode(1))
		for _, n := range s.Nodes {
			s.until(n.Name()+" tells that the keys differ", func() bool { return s.said(n, "[ERROR]", "cluster key differs") })
		}
		s.says(s.Nodes[0], "beats refused, sealed with another key", "addr="+s.Nodes[1].Addr().String())
	})
}
