package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

func TestIPv6VIPFailsOverToo(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*scene) (*lab.Fault, error)
		dual time.Duration
	}{
		{"kill -9", func(s *scene) (*lab.Fault, error) { s.KillNode(s.leader.Index); return nil, nil }, lapse},
		{"silent cut", func(s *scene) (*lab.Fault, error) { return s.SilentCut(s.leader.Host) }, 200 * time.Millisecond},
		{"plug pulled at the host", func(s *scene) (*lab.Fault, error) { return s.PullAtHost(s.leader.Host) }, 200 * time.Millisecond},
		{"SIGTERM", func(s *scene) (*lab.Fault, error) { return nil, s.TermNode(s.soon(), s.leader.Index) }, 4 * step},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{IPv6: true})
				f := s.fault(c.do(s))
				s.takenOver(s.standby)
				if f != nil {
					s.must(f.Heal())
					s.pass(time.Second)
				}
				r, v := s.seen()
				s.moved(r, v, time.Second, c.dual)
				r6, v6 := s.load6.Report(s.from.Add(-before), time.Now().Add(-lab.Patience)), s.Watch6.View(s.from.Add(-before), time.Now())
				t.Logf("IPv6 client: %s", r6)
				t.Logf("IPv6 observer: %s", v6)
				s.moved(r6, v6, time.Second, c.dual)
				if !slices.ContainsFunc(s.Watch6.Announcements(s.from, time.Now()), func(a lab.Announcement) bool { return a.Who == s.standby.Name() }) {
					t.Error("the new leader announced nothing to IPv6 neighbours")
				}
			})
		})
	}
}
