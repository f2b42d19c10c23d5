package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// diary is where a node's command writes what it is told: one line for each event.
func (s *scene) diary(n *lab.Node) string {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(n.ConfigPath()), "diary", "events"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

func TestCommandsAreToldWhatANodeBecomes(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Edit: func(n *lab.Node, config string) string {
			dir := filepath.Join(filepath.Dir(n.ConfigPath()), "diary")
			for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) { // the command is nobody's
				_ = os.Mkdir(d, 0o777)
				_ = os.Chmod(d, 0o777)
			}
			script := fmt.Sprintf("echo $TANDEM_EVENT:$TANDEM_LEADER:$(id -u) >> %s/events; sleep 0.3; exit 3", dir)
			return config + fmt.Sprintf("notify:\n  - {on: [leader, standby, maintenance, stopped], command: [/bin/sh, -c, %q]}\n", script)
		}})
		s.until("both are told what they are", func() bool {
			return strings.HasPrefix(s.diary(s.leader), "leader:"+s.leader.Name()) && strings.HasPrefix(s.diary(s.standby), "standby:")
		})
		s.begin()
		s.order(s.standby, "handover").is(t, 0, "leads, handed over from", "")
		s.order(s.standby, "maintenance", "on").is(t, 0, "leads, handed over from", "")
		s.takenOver(s.leader)
		r, v := s.seen()
		if r.Failed > 6 || v.Dual.Total > 8*step {
			t.Errorf("the commands were in the way: %s; %s", r, v)
		}
		l, b := s.leader.Name(), s.standby.Name()
		want := map[*lab.Node]string{
			s.leader:  fmt.Sprintf("leader:%s:65534 standby:%s:65534 leader:%s:65534", l, b, l),
			s.standby: fmt.Sprintf("leader:%s:65534 maintenance:%s:65534", b, l),
		}
		for n, w := range want {
			s.until(n.Name()+" is told "+w, func() bool { return strings.HasSuffix(s.diary(n), w) })
			s.says(n, "command failed", "exit status 3")
		}
		s.must(s.TermNode(s.soon(), s.standby.Index))
		if got := s.diary(s.standby); !strings.HasSuffix(got, "stopped::65534") {
			t.Errorf("at its end %s was told %q", s.standby.Name(), got)
		}
		s.pass(time.Second)
	})
}
