package pool

import (
	"slices"
	"time"
)

// rotation is who is picked from. It does not change; a new one takes its place when the state of a backend changes.
type rotation struct {
	serving []*Backend
	reserve []*Backend // backups, for who was let down by all that serve
	forced  bool       // some serve although they are down
	table   *table     // of those that serve, for Maglev
}

// rules are what a pool does when many of its backends are out.
type rules struct {
	panicBelow int // percent
	keep       int
}

// member is what rules look at.
type member struct {
	backup    bool
	available bool
	since     time.Time // when it became so
}

// arrange decides which members serve: all primaries that are available, and else all backups that are. If both are too
// few to be true, verdicts are not believed: in a panic every primary serves, else as many as must be kept, those that
// went out last. reserve is the backups that do not serve yet.
func arrange(r rules, members []member) (serving, reserve []int, forced bool) {
	var up, out []int
	for i, m := range members {
		switch {
		case m.backup && m.available:
			reserve = append(reserve, i)
		case m.backup:
		case m.available:
			up = append(up, i)
		default:
			out = append(out, i)
		}
	}
	if len(up) == 0 && len(reserve) > 0 {
		return reserve, nil, false
	}
	primaries := len(up) + len(out)
	want := min(r.keep, primaries)
	if len(up)*100 < r.panicBelow*primaries {
		want = primaries
	}
	if missing := want - len(up); missing > 0 {
		slices.SortStableFunc(out, func(a, b int) int { return members[b].since.Compare(members[a].since) })
		up = append(up, out[:missing]...)
		slices.Sort(up)
		forced = true
	}
	return up, reserve, forced
}

// rotate makes the rotation that follows from the backends' states.
func (p *Pool) rotate() *rotation {
	members := make([]member, len(p.conf().backends))
	for i, b := range p.conf().backends {
		members[i] = b.member()
	}
	serving, reserve, forced := arrange(p.conf().rules, members)
	r := &rotation{serving: p.these(serving), reserve: p.these(reserve), forced: forced}
	if p.conf().balance == Maglev && len(r.serving) > 0 {
		r.table = newTable(r.serving)
	}
	return r
}

func (p *Pool) these(at []int) []*Backend {
	out := make([]*Backend, len(at))
	for i, n := range at {
		out[i] = p.conf().backends[n]
	}
	return out
}

// turn puts a new rotation in place after the state of a backend has changed. The caller holds changing. Making the
// rotation can take a millisecond, in which picks go on by the old one.
func (p *Pool) turn() {
	next := p.rotate()
	now := time.Now()
	serves := make(map[*Backend]bool, len(next.serving))
	for _, b := range next.serving {
		serves[b] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.conf().backends {
		if serves[b] && !b.serves.Load() {
			p.enter(b, now, next.forced)
		}
		b.serves.Store(serves[b])
	}
	p.tell(next)
	p.rotation = next
	p.choices.Store(int32(len(next.serving) + len(next.reserve))) //nolint:gosec // bounded by the configuration
	p.serveQueue()
}

// enter makes b ready to be picked again. Its share grows only if it has come back by itself. The caller holds mu.
func (p *Pool) enter(b *Backend, now time.Time, forced bool) {
	// What a backend was owed before it went away is not owed when it comes back.
	b.current = 0
	b.share, b.warmFrom = b.weight*scale, time.Time{}
	if p.conf().slowStart > 0 && p.rotation != nil && !forced {
		b.warmFrom = now
		p.warmUntil = now.Add(p.conf().slowStart)
	}
}

// tell logs when verdicts begin not to be believed, and when they are again.
func (p *Pool) tell(next *rotation) {
	switch was := p.rotation != nil && p.rotation.forced; {
	case next.forced && !was:
		p.log.Warn("too few backends are up to be true, traffic goes to those that are down", "pool", p.name, "serving", len(next.serving))
	case was && !next.forced:
		p.log.Info("enough backends are up, verdicts are believed again", "pool", p.name, "serving", len(next.serving))
	}
}

// scale is how many parts a weight has while its backend warms up.
const scale = 100

// ramped is the share of a backend of that weight that came back so long ago: from a tenth of the whole it grows evenly.
func ramped(weight int, age, slowStart time.Duration) int {
	if age >= slowStart {
		return weight * scale
	}
	part := scale * max(age, 0) / slowStart //nolint:durationcheck // a ratio
	return weight * max(int(part), scale/10)
}

// warm brings the shares of backends that have come back up to date.
func (p *Pool) warm(now time.Time) {
	for _, b := range p.rotation.serving {
		b.share = b.weight * scale
		if !b.warmFrom.IsZero() {
			b.share = ramped(b.weight, now.Sub(b.warmFrom), p.conf().slowStart)
		}
	}
	if !now.Before(p.warmUntil) {
		p.warmUntil = time.Time{}
	}
}
