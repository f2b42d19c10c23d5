package announce

import (
	"slices"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	start := time.Unix(100, 0)
	ms := func(n ...int) []time.Duration {
		d := make([]time.Duration, len(n))
		for i, v := range n {
			d[i] = time.Duration(v) * time.Millisecond
		}
		return d
	}
	tests := []struct {
		name    string
		refresh time.Duration
		lag     time.Duration // of the sender
		stalled time.Duration // once, before the third
		until   time.Duration
		want    []time.Duration
	}{
		{"five and then never", 0, 0, 0, time.Hour, ms(0, 50, 200, 1100, 2200)},
		{"five and then every minute", time.Minute, 0, 0, 150 * time.Second, ms(0, 50, 200, 1100, 2200, 62200, 122200)},
		{"late senders do not drift", time.Minute, time.Millisecond, 0, 70 * time.Second, ms(1, 51, 201, 1101, 2201, 62201)},
		{"what was missed is not made up for", time.Minute, 0, 5 * time.Second, 70 * time.Second, ms(0, 50, 5200, 62200)},
		{"nor after long", time.Second, 0, 10 * time.Second, 13 * time.Second, ms(0, 50, 10200, 11200, 12200)},
	}
	for _, tt := range tests {
		s := Schedule{Refresh: tt.refresh}
		if !s.Due().IsZero() {
			t.Errorf("%s: due before it was started", tt.name)
		}
		s.Restart(start)
		var got []time.Duration
		for n := 0; ; n++ {
			due := s.Due()
			if due.IsZero() || due.After(start.Add(tt.until)) {
				break
			}
			now := due.Add(tt.lag)
			if n == 2 {
				now = now.Add(tt.stalled)
			}
			s.Sent(now)
			got = append(got, now.Sub(start))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		s.Stop()
		if !s.Due().IsZero() {
			t.Errorf("%s: due after it was stopped", tt.name)
		}
	}
}
