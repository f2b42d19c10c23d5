package udp

import "time"

// tellEvery is how often at most something is told that may happen with each datagram.
const tellEvery = time.Minute

// sampled keeps what clients can cause at will from filling the log.
type sampled struct {
	told  time.Time
	since int // times since it was told
}

// count counts one more time and reports whether to tell it; times is how often it has happened since it was last told.
func (s *sampled) count(now time.Time) (times int, tell bool) {
	s.since++
	if !s.told.IsZero() && now.Sub(s.told) < tellEvery {
		return 0, false
	}
	times, s.since, s.told = s.since, 0, now
	return times, true
}
