package health

import "time"

// State says what is known of a backend.
type State string

// The states of a backend.
const (
	Unchecked State = "unchecked" // no verdict yet, or never probed: counts as available
	Up        State = "up"
	Down      State = "down"
)

// track is the rise and fall of one backend: results in, state out. It knows no clock and does no I/O.
type track struct {
	rise, fall int
	state      State
	ok         bool // the newest result
	count      int  // results in a row that equal it
}

// add takes in the result of one probe and reports whether the state has changed by it.
func (t *track) add(ok bool) bool {
	if ok != t.ok {
		t.count = 0
	}
	t.ok = ok
	t.count++
	want := t.verdict()
	changed := want != t.state
	t.state = want
	return changed
}

func (t *track) verdict() State {
	switch {
	case t.ok && t.state == Unchecked:
		return Up // a backend that answers is not kept waiting for Rise when nothing bad is known of it
	case t.ok && t.count >= t.rise:
		return Up
	case !t.ok && t.count >= t.fall:
		return Down
	}
	return t.state
}

// changing holds while the newest results speak against the state: a verdict is on its way.
func (t *track) changing() bool {
	switch t.state {
	case Up:
		return !t.ok
	case Down:
		return t.ok
	default: // no verdict yet
		return true
	}
}

// spread returns how long after the start the i-th of n targets is probed first: evenly over the shorter of its
// interval and maxSpread, so that a start neither floods the network nor leaves backends unknown for long.
func spread(i, n int, interval time.Duration) time.Duration {
	return min(interval, maxSpread) * time.Duration(i) / time.Duration(n)
}

// maxSpread bounds the time that the last backend waits for its first probe. The steady state does not need more:
// jitter drifts probes apart by a tenth of the interval each time.
const maxSpread = time.Second

// jitter stretches or shrinks d by up to a tenth; r is in [0, 1).
func jitter(d time.Duration, r float64) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*r))
}
