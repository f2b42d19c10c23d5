package announce

import "time"

// Schedule says when announcements are due. The zero value announces nothing.
//
// The first is for everybody; the next ones are for frames that were lost; those at 1.1 s and later are longer after the first than Linux'
// neighbour locktime (1 s), within which a host may ignore a second update (RFC 5227, 3 announces twice, 2 s apart, for the same reasons).
type Schedule struct {
	Refresh time.Duration // time between announcements after the first few; not positive: never
	start   time.Time
	sent    int
}

// planned is how many announcements follow the start before the refreshes begin.
const planned = 5

// offsets of the first announcements from the start.
func offsets() [planned]time.Duration {
	return [planned]time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 1100 * time.Millisecond, 2200 * time.Millisecond}
}

// Restart begins the schedule: the next announcement is due now.
func (s *Schedule) Restart(now time.Time) { s.start, s.sent = now, 0 }

// Stop ends it.
func (s *Schedule) Stop() { s.start, s.sent = time.Time{}, 0 }

// Due returns when the next announcement is due; zero: never.
func (s *Schedule) Due() time.Time {
	first := offsets()
	switch {
	case s.start.IsZero():
		return time.Time{}
	case s.sent < len(first):
		return s.start.Add(first[s.sent])
	case s.Refresh <= 0:
		return time.Time{}
	}
	return s.start.Add(first[len(first)-1] + time.Duration(s.sent-len(first)+1)*s.Refresh)
}

// Sent records that an announcement went out at now. Announcements that were missed meanwhile are not made up for.
func (s *Schedule) Sent(now time.Time) {
	s.sent++
	for due := s.Due(); !due.IsZero() && !due.After(now); due = s.Due() {
		if s.sent >= planned && s.Refresh > 0 {
			s.sent += max(1, int(now.Sub(due)/s.Refresh))
			continue
		}
		s.sent++
	}
}
