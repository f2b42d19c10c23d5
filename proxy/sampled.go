package proxy

import (
	"sync"
	"time"
)

// tellEvery is how often at most something is told that may happen thousands of times a second.
const tellEvery = time.Minute

// sampled keeps what clients can cause at will from filling the log.
type sampled struct {
	mu    sync.Mutex // guards what follows
	told  time.Time
	since int // times since it was told
}

// now counts one more time and reports whether to tell it; times is how often it has happened since it was last told.
func (s *sampled) now() (times int, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since++
	if now := time.Now(); s.told.IsZero() || now.Sub(s.told) >= tellEvery {
		times, s.since, s.told = s.since, 0, now
		return times, true
	}
	return 0, false
}
