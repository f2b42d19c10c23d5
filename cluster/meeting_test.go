package cluster

import (
	"slices"
	"testing"
	"time"
)

// Nobody may have heard what a leader announced while it heard nobody: test/sim, TestStorms, seeds 4 and 23.
func TestLeaderAnnouncesWhenAPeerIsHeardThatWasNot(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		const reason = "a peer is heard that was not"
		lb1 := w.hosts["lb1"]
		w.kill("lb2")
		w.run(time.Second)
		w.mu.Lock()
		lb1.announced = nil
		w.mu.Unlock()
		w.start("lb2")
		w.run(time.Second)
		w.mu.Lock()
		n := 0
		for _, h := range []*host{lb1, w.hosts["lb2"]} {
			n += len(slices.DeleteFunc(slices.Clone(h.announced), func(s string) bool { return s != reason }))
		}
		w.mu.Unlock()
		if n != 1 {
			t.Errorf("lb1 announced %q, want once because %s; lb2, the standby, never", lb1.announced, reason)
		}
	})
}
