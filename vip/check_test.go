package vip

import (
	"testing"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

// checking is a wire check with a clock.
type checking struct {
	check
	now   time.Time
	asked int
}

func newChecking() *checking {
	c := &checking{now: time.Unix(1000, 0)}
	c.start(c.now)
	return c
}

// run lets time pass, a millisecond at a time.
func (c *checking) run(d time.Duration) {
	for end := c.now.Add(d); ; c.now = c.now.Add(time.Millisecond) {
		if c.tick(c.now) {
			c.asked++
		}
		if !c.now.Before(end) {
			return
		}
	}
}

func TestSilenceIsCountedInRounds(t *testing.T) {
	c := newChecking()
	c.run(19 * time.Millisecond)
	if c.wire.Probes != 0 || c.asked != 1 {
		t.Errorf("before the first round is over: %d rounds, %d asked, want 0, 1", c.wire.Probes, c.asked)
	}
	c.run(time.Millisecond)
	if c.wire.Probes != 1 || c.asked != 2 {
		t.Errorf("after 20 ms: %d rounds, %d asked, want 1, 2", c.wire.Probes, c.asked)
	}
	c.run(40 * time.Millisecond)
	if c.wire.Probes != 3 {
		t.Errorf("after 60 ms: %d rounds, want 3", c.wire.Probes)
	}
	c.run(940 * time.Millisecond)
	asked := c.asked
	c.run(time.Second)
	if n := c.asked - asked; n < 9 || n > 11 {
		t.Errorf("in the second second %d rounds were asked, want about 10", n)
	}
}

func TestAnswersAreTold(t *testing.T) {
	m := announce.MAC{2, 0, 0, 0, 0, 2}
	c := newChecking()
	c.run(25 * time.Millisecond)
	c.heard(m, true, true, c.now)
	if w := c.wire; w.Probes != 0 || !w.PeerAt.Equal(c.now) || w.PeerMAC.String() != m.String() || !w.ForeignAt.IsZero() {
		t.Errorf("after an answer of the peer: %+v", w)
	}
	c.run(15 * time.Millisecond) // the round that was answered ends
	if c.wire.Probes != 0 {
		t.Errorf("the answered round counts as silent")
	}
	c.run(20 * time.Millisecond)
	if c.wire.Probes != 1 {
		t.Errorf("the next round does not count: %+v", c.wire)
	}
	c.heard(m, false, true, c.now)
	if w := c.wire; w.Probes != 0 || !w.ForeignAt.Equal(c.now) {
		t.Errorf("after an answer of a stranger: %+v", w)
	}
}

func TestAnswerThatThePeerDoesNotConfirmIsForeign(t *testing.T) {
	m := announce.MAC{2, 0, 0, 0, 0, 2}
	c := newChecking()
	c.run(5 * time.Millisecond)
	c.heard(m, true, false, c.now)
	if w := c.wire; !w.PeerAt.IsZero() || !w.ForeignAt.IsZero() || w.Probes != 0 {
		t.Errorf("before the confirmation is due: %+v", w)
	}
	c.run(20 * time.Millisecond)
	if w := c.wire; !w.PeerAt.IsZero() || w.ForeignAt.IsZero() || w.ForeignMAC.String() != m.String() {
		t.Errorf("without confirmation: %+v, want a foreign answer", w)
	}
	c = newChecking()
	c.run(5 * time.Millisecond)
	c.heard(m, true, false, c.now)
	c.heard(m, true, true, c.now.Add(time.Millisecond))
	c.run(20 * time.Millisecond)
	if w := c.wire; w.PeerAt.IsZero() || !w.ForeignAt.IsZero() {
		t.Errorf("confirmed: %+v, want the peer", w)
	}
}

func TestDeafnessNeedsSomebodyWhoOnceAnswered(t *testing.T) {
	tests := []struct {
		known bool
		heard time.Duration // after the start of the check; negative: before
		want  bool
	}{
		{known: false, heard: -time.Second, want: false},
		{known: true, heard: -time.Second, want: true},
		{known: true, heard: time.Millisecond, want: false},
	}
	for _, tt := range tests {
		c := newChecking()
		start := c.now
		c.run(10 * time.Millisecond)
		if c.result(tt.known, start.Add(tt.heard)).Deaf {
			t.Errorf("%+v: deaf before anybody had the time to answer", tt)
		}
		c.run(15 * time.Millisecond)
		if got := c.result(tt.known, start.Add(tt.heard)).Deaf; got != tt.want {
			t.Errorf("%+v: Deaf = %v, want %v", tt, got, tt.want)
		}
	}
	var idle check
	if idle.result(true, time.Time{}).Deaf || idle.tick(time.Unix(1, 0)) {
		t.Error("a check that does not run asks, or says something")
	}
}
