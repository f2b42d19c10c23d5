package pulse

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestArrivalIsBetweenTheLastDrainAndNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pulse{}
		p.board.base = time.Now()
		th := thread{p: p, lastEmpty: 2 * time.Second}
		time.Sleep(5 * time.Second)
		wall := time.Now().UnixNano()
		for _, tt := range []struct {
			what  string
			stamp int64
			want  time.Duration
		}{
			{"now", wall, 5 * time.Second},
			{"a second ago", wall - 1e9, 4 * time.Second},
			{"just after the drain", wall - 3e9, 2 * time.Second},
			{"before the drain: the clock was stepped forward", wall - 3600e9, 2 * time.Second},
			{"in the future: the clock was stepped back", wall + 1, 2 * time.Second},
			{"no stamp", 0, 2 * time.Second},
		} {
			if got := th.arrival(tt.stamp); got != tt.want {
				t.Errorf("%s: arrived at %s, want %s", tt.what, got, tt.want)
			}
		}
	})
}
