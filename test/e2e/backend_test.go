package e2e

import (
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// gone tells the story of a backend that goes and comes back under load, and returns what the client saw until the pool had adapted.
func gone(t *try, go1, back func(*scene, *lab.Backend) error) (*scene, lab.Report) {
	s := start(t, lab.PairConfig{})
	b := s.Backends[0]
	s.must(go1(s, b))
	for _, n := range s.Nodes { // both nodes probe
		s.until(n.Name()+" has noticed", func() bool { return s.said(n, "backend down", "backend="+b.Name) })
	}
	down := time.Now()
	s.pass(2 * time.Second)
	r, v := s.seen()
	s.stayed(r, v, r.Failed)
	if r := s.load.Report(down.Add(100*time.Millisecond), down.Add(2*time.Second)); r.Failed > 0 {
		t.Errorf("requests failed although the backend was known to be down: %s", r)
	}
	s.must(back(s, b))
	s.until("the backend is used again", func() bool { return s.said(s.leader, "backend up", "backend="+b.Name) })
	served := b.Served()
	s.until("the backend serves again", func() bool { return b.Served() > served+10 })
	s.served()
	return s, r
}

func TestServiceGoesOnWhenABackendIsKilled(t *testing.T) {
	story(t, func(t *try) {
		_, r := gone(t,
			func(_ *scene, b *lab.Backend) error { b.Stop(); return nil },
			func(_ *scene, b *lab.Backend) error { return b.Start() })
		if r.Failed > 2 { // requests that it had begun to answer
			t.Errorf("%d requests failed", r.Failed)
		}
	})
}

func TestServiceGoesOnWhenABackendIsUnplugged(t *testing.T) {
	story(t, func(t *try) {
		var f *lab.Fault
		_, r := gone(t,
			func(s *scene, b *lab.Backend) (err error) { f, err = s.PullAtSwitch(b.Host); return err },
			func(*scene, *lab.Backend) error { return f.Heal() })
		if r.Blackout > 500*time.Millisecond {
			t.Errorf("no request succeeded for %v", r.Blackout)
		}
		t.Logf("%d of %d requests failed until the backend was out", r.Failed, r.Attempts)
		if r.Failed > 200 {
			t.Errorf("%d requests failed", r.Failed)
		}
	})
}

func TestSickBackendGetsNoRequests(t *testing.T) {
	story(t, func(t *try) {
		_, r := gone(t,
			func(_ *scene, b *lab.Backend) error { b.SetSick(true); return nil },
			func(_ *scene, b *lab.Backend) error { b.SetSick(false); return nil })
		if r.Failed > 0 {
			t.Errorf("%d requests failed", r.Failed)
		}
	})
}
