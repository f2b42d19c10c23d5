package pulse

import "time"

// whole, in silence budgets, is how long a way must work before it counts as whole again: loss does not make it flap.
const whole = 5

// Apart tells whether a way between two nodes is broken, by how long each of them has not heard the other on it: from half of the silence
// budget on, until the way has worked for five budgets. The zero value is a way that works.
type Apart struct {
	on  bool
	bad time.Duration // when it was last seen not to work
}

// Look takes what is so at the moment now, counted from anywhere, and says whether the way is broken: silence is how long this node has not heard the
// other, deaf how long the other has not heard this one, 0 if that is not known.
func (a *Apart) Look(failover, now, silence, deaf time.Duration) bool {
	switch {
	case max(silence, deaf) >= failover/2:
		a.on, a.bad = true, now
	case a.on && now-a.bad >= whole*failover:
		a.on = false
	}
	return a.on
}
