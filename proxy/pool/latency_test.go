package pool

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// A worst latency is believed at once, and forgotten by its age alone: after one time constant a part of 1/e is left of it, however
// many quick answers have come meanwhile.
func TestPeakOfLatencyDecays(t *testing.T) {
	now := time.Unix(1000, 0)
	var l latency
	l.add(100*time.Millisecond, now)
	near := func(what string, got float64, want time.Duration) {
		t.Helper()
		if math.Abs(got-float64(want)) > 0.02*float64(want) {
			t.Errorf("%s: %v, want about %v", what, time.Duration(got), want)
		}
	}
	near("at once", l.at(now), 100*time.Millisecond)
	near("after one time constant", l.at(now.Add(memory)), 36788*time.Microsecond)
	for range 1000 { // quick answers in the same moment do not wash it away
		l.add(time.Millisecond, now)
	}
	near("after quick answers at once", l.at(now), 100*time.Millisecond)
	for i := range 100 {
		l.add(time.Millisecond, now.Add(time.Duration(i+1)*memory/100))
	}
	near("after quick answers for one time constant", l.at(now.Add(memory)), 37400*time.Microsecond)
	for _, c := range []struct{ next, want time.Duration }{
		{50 * time.Millisecond, 50 * time.Millisecond}, // more than what is left of the peak, though less than the peak
		{30 * time.Millisecond, 55752 * time.Microsecond},
	} {
		l = latency{}
		l.add(100*time.Millisecond, now)
		l.add(c.next, now.Add(memory))
		near(c.next.String()+" after one time constant", l.at(now.Add(memory)), c.want)
	}
}

// A failure counts as an answer that took as long as connecting may, or as long as it did.
func TestFailureCountsAsSlow(t *testing.T) {
	for _, c := range []struct{ took, want time.Duration }{{0, 2 * time.Second}, {5 * time.Second, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			_, p := of(t, P2C, equal(1), func(c *Config) { c.ConnectTimeout = 2 * time.Second })
			l := mustPick(t, p, Request{})
			time.Sleep(c.took)
			l.Done(errors.New("reset"))
			if got := time.Duration(l.Backend().latency.at(time.Now())); got != c.want {
				t.Errorf("a failure after %v counts as %v, want %v", c.took, got, c.want)
			}
		})
	}
}
