package pool

// Retries bounds what is asked of one backend after another has let it down.
type Retries struct {
	// Max is how many further backends may be tried for one request or session; zero: 3; negative: none.
	Max int
	// Budget is how many requests may be repeated at one time, in percent of those that are in hand; zero: 20; negative: none.
	// Three may always be. Without a bound repetitions multiply the load on what is left, just when it is too much.
	// Moving on from a backend that has seen nothing of a request does not count: it costs the backends nothing.
	Budget int
}

const (
	defaultRetries = 3
	defaultBudget  = 20
	// leastRepeats may be repeated at one time however little is in hand.
	leastRepeats = 3
)

func (r Retries) withDefaults() Retries {
	switch {
	case r.Max == 0:
		r.Max = defaultRetries
	case r.Max < 0:
		r.Max = 0
	}
	if r.Budget == 0 {
		r.Budget = defaultBudget
	}
	return r
}

// MaxRetries is how many further backends may be tried for one request or session.
func (p *Pool) MaxRetries() int { return p.conf().retries.Max }

// Repeats reports whether requests that backends have seen may be repeated at all.
func (p *Pool) Repeats() bool { return p.conf().retries.Budget >= 0 }

// Repeat takes a repetition out of the budget and reports whether there was one. Repeated gives it back, when the
// repeated request has ended.
func (p *Pool) Repeat() bool {
	if p.conf().retries.Budget < 0 {
		return false
	}
	if p.retrying.Add(1) > max(int64(p.inHand()*p.conf().retries.Budget/100), leastRepeats) {
		p.retrying.Add(-1)
		return false
	}
	return true
}

// Repeated gives a repetition back.
func (p *Pool) Repeated() { p.retrying.Add(-1) }

// Spare reports whether there is a backend to turn to after the next one, when so many were tried already. It is a guess: which
// ones were tried is not looked at.
func (p *Pool) Spare(tried int) bool { return int(p.choices.Load()) > tried+1 }
