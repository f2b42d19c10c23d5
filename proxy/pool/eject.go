package pool

import "time"

// Ejection is when the traffic itself takes a backend out, without waiting for a probe's verdict. Only failures that are
// the backend's count, and only those in a row: percentages misbehave where there are few requests or few backends.
type Ejection struct {
	After   int           // failures in a row; zero: 3; negative: never
	Time    time.Duration // how long it stays out the first time; zero: 5 s
	Growth  int           // each further time takes so many times as long …
	MaxTime time.Duration // … up to this; zero: twice, and 5 min
}

const (
	defaultEjectAfter   = 3
	defaultEjectTime    = 5 * time.Second
	defaultEjectGrowth  = 2
	defaultEjectMaxTime = 5 * time.Minute
)

func (e Ejection) withDefaults() Ejection {
	if e.After == 0 {
		e.After = defaultEjectAfter
	}
	if e.Time <= 0 {
		e.Time = defaultEjectTime
	}
	if e.Growth <= 0 {
		e.Growth = defaultEjectGrowth
	}
	if e.MaxTime <= 0 {
		e.MaxTime = defaultEjectMaxTime
	}
	e.MaxTime = max(e.MaxTime, e.Time)
	return e
}

// sentence is what a backend has been given for its failures. It is guarded by the backend's mu.
type sentence struct {
	out    bool
	until  time.Time
	took   time.Duration // how long the last one was
	reason string
}

// next is how long the next one is: a multiple of the last, unless the backend has done well for as long as that was.
func (s *sentence) next(e Ejection, now time.Time) time.Duration {
	if s.took == 0 || now.Sub(s.until) >= s.took {
		return e.Time
	}
	return min(time.Duration(e.Growth)*s.took, e.MaxTime)
}

// Well tells that the backend has done what was asked of it; failures are counted anew from then on. It is called
// before Done, and not at all where a client has ended the use.
func (l Lease) Well() {
	if l.backend.streak.Load() != 0 {
		l.backend.streak.Store(0)
	}
}

// blame counts a failure, and ejects the backend when there were enough in a row, unless too few others would be left.
func (p *Pool) blame(l Lease, err error) {
	b := l.backend
	// What was begun before the backend was ejected has been paid for.
	if p.conf().ejection.After < 0 || l.round != b.round.Load() || int(b.streak.Add(1)) < p.conf().ejection.After {
		return
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if l.round != b.round.Load() || !p.spares(b) {
		return
	}
	now := time.Now()
	b.mu.Lock()
	s := &b.sentence
	s.took = s.next(p.conf().ejection, now)
	s.out, s.until, s.reason = true, now.Add(s.took), err.Error()
	b.mu.Unlock()
	b.round.Add(1)
	p.plan()
	p.turn()
	p.log.Warn("backend ejected", "pool", p.name, "backend", b.name, "failures", p.conf().ejection.After, "for", s.took, "reason", s.reason)
}

// spares reports whether the pool can do without b. The caller holds changing.
func (p *Pool) spares(b *Backend) bool {
	others := 0
	for _, o := range p.conf().backends {
		if o != b && o.available() {
			others++
		}
	}
	return b.available() && others >= max(p.conf().rules.keep, 1)
}

// plan notes when the next backend comes back. The caller holds changing.
func (p *Pool) plan() {
	var first time.Duration
	for _, b := range p.conf().backends {
		b.mu.Lock()
		if at := b.sentence.until.Sub(p.born); b.sentence.out && (first == 0 || at < first) {
			first = at
		}
		b.mu.Unlock()
	}
	p.returns.Store(int64(first))
}

// returned reports whether a backend's time is over.
func (p *Pool) returned() bool {
	at := p.returns.Load()
	return at != 0 && time.Since(p.born) >= time.Duration(at)
}

// readmit puts the backends whose time is over back. One more failure before anything else ejects them again.
func (p *Pool) readmit() {
	p.changing.Lock()
	defer p.changing.Unlock()
	now := time.Now()
	changed := false
	for _, b := range p.conf().backends {
		b.mu.Lock()
		if b.sentence.out && !now.Before(b.sentence.until) {
			b.sentence.out, changed = false, true
			b.streak.Store(int32(p.conf().ejection.After - 1)) //nolint:gosec // a small number of the configuration
			p.log.Info("backend back after its ejection", "pool", p.name, "backend", b.name, "after", b.sentence.took)
		}
		b.mu.Unlock()
	}
	if changed {
		p.plan()
		p.turn()
	}
}

// pardon puts a backend back whose probes have found it well again after it was down. The caller holds changing.
func (p *Pool) pardon(b *Backend) {
	b.mu.Lock()
	b.sentence.out = false
	b.mu.Unlock()
	b.streak.Store(0)
	p.plan()
}
