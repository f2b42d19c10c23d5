package udp

import (
	"time"

	"github.com/hashicorp/go-hclog"
)

// tellEvery is how often at most something is told that may happen with each datagram.
const tellEvery = time.Minute

// sampled keeps what clients can cause at will from filling the log.
type sampled struct {
	told  time.Time
	since int
}

func (s *sampled) warn(log hclog.Logger, now time.Time, msg string, args ...any) {
	s.since++
	if !s.told.IsZero() && now.Sub(s.told) < tellEvery {
		return
	}
	log.Warn(msg, append(args, "times", s.since)...)
	s.told, s.since = now, 0
}
