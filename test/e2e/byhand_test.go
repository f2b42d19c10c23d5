package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

func TestABackendSetByHandOnTheStandbyIsDrainedByTheLeader(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		var st api.Status
		if err := json.Unmarshal([]byte(s.order(s.leader, "status", "--json").stdout), &st); err != nil {
			t.Fatal(err)
		}
		pool, backend := st.Pools[0].Name, st.Pools[0].Backends[0].Name
		if a := s.order(s.standby, "backend", "drain", pool+"/"+backend, "--reason", "new disk"); a.status != 0 || !strings.Contains(a.stdout, "known to "+s.leader.Name()) {
			t.Errorf("drain: %+v", a)
		}
		shows := func(n *lab.Node, want bool) {
			t.Helper()
			out := ""
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if out = s.order(n, "status").stdout; strings.Contains(out, "drain (set by hand: new disk)") == want {
					return
				}
			}
			t.Errorf("%s, want %v: %s", n.Name(), want, out)
		}
		shows(s.leader, true)
		shows(s.standby, true)
		if a := s.order(s.leader, "backend", "reset", pool+"/"+backend); a.status != 0 {
			t.Errorf("reset: %+v", a)
		}
		shows(s.standby, false)
	})
}
