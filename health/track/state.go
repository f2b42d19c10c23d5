package track

import "time"

// State says what is known of a tracked thing.
type State string

// The states of a tracked thing.
const (
	Unchecked State = "unchecked" // no verdict yet: counts as well
	Well      State = "ok"
	Failing   State = "failing"
)

// result is what one check found.
type result struct {
	ok     bool
	reason string // in a few words; bounded and printable
	took   time.Duration
	late   bool // it failed, and so long after its timeout that this host must have slept
}

// series is the rise and fall of one thing: results in, state out.
type series struct {
	rise, fall int
	linger     time.Duration
	// proven: failures count only after a first success.
	proven bool

	state    State
	ok       bool
	count    int // results in a row that equal ok
	failedAt time.Time
	spared   bool // the last result was forgiven as late: the next one counts
}

// add takes in a result and reports whether the state has changed by it.
func (s *series) add(r result, now time.Time) (changed bool) {
	if r.late && !s.spared {
		s.spared = true
		return false
	}
	s.spared = false
	if r.ok != s.ok {
		s.count = 0
	}
	s.ok = r.ok
	s.count++
	if !r.ok {
		s.failedAt = now
	}
	is := s.verdict(now)
	changed = is != s.state
	s.state = is
	return changed
}

func (s *series) verdict(now time.Time) State {
	switch {
	case s.ok && s.state == Unchecked:
		return Well // nothing bad is known of it
	case s.ok && s.count >= s.rise && now.Sub(s.failedAt) >= s.linger:
		return Well
	case !s.ok && s.count >= s.fall && !(s.proven && s.state == Unchecked):
		return Failing
	}
	return s.state
}

// changing holds while a verdict is on its way.
func (s *series) changing() bool {
	switch s.state {
	case Well:
		return !s.ok
	case Failing:
		return s.ok
	case Unchecked:
	}
	return s.count < s.fall
}
