package pool

import (
	"math/rand/v2"
	"time"
)

// The functions of this file choose one of the candidates, of which there is at least one. The caller holds the pool's mu.

// roundRobin is nginx's smooth weighted round-robin: every candidate gains its share, the one with most is chosen and
// pays the sum. A heavy backend is so spread between the light ones.
func roundRobin(candidates []*Backend) *Backend {
	best, sum := candidates[0], 0
	for _, b := range candidates {
		b.current += b.share
		sum += b.share
		if b.current > best.current {
			best = b
		}
	}
	best.current -= sum
	return best
}

// leastConn chooses the one with the fewest connections for its share. Among equals it goes round, or else the first in
// the list would get everything while the load is light. It moves the candidates that are equal to the front.
func leastConn(candidates []*Backend) *Backend {
	best, ties := candidates[0], 0
	for i, b := range candidates {
		switch c := compareLoad(b, best); {
		case c < 0:
			best, ties = b, 0
			fallthrough
		case c == 0:
			candidates[ties], candidates[i] = candidates[i], candidates[ties]
			ties++
		}
	}
	if ties == 1 {
		return best
	}
	return roundRobin(candidates[:ties])
}

// compareLoad compares connections per share without dividing.
func compareLoad(a, b *Backend) int {
	x, y := a.active.Load()*int64(b.share), b.active.Load()*int64(a.share)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// random draws one by share.
func random(candidates []*Backend, r *rand.Rand) *Backend {
	sum := 0
	for _, b := range candidates {
		sum += b.share
	}
	at := r.IntN(sum)
	for _, b := range candidates {
		if at -= b.share; at < 0 {
			return b
		}
	}
	panic("the shares have changed while their sum was used")
}

// p2c draws two and chooses the one that promises the sooner answer. Two of many are enough to avoid the worst, and,
// unlike the best of all, are not the same for everybody who asks at the same time.
func p2c(candidates []*Backend, r *rand.Rand, now time.Time) *Backend {
	n := len(candidates)
	if n == 1 {
		return candidates[0]
	}
	i, j := r.IntN(n), r.IntN(n-1)
	if j >= i {
		j++
	}
	a, b := candidates[i], candidates[j]
	if b.promise(now) < a.promise(now) {
		return b
	}
	return a
}

// promise is how long an answer of b may take, by what is known: less is better.
func (b *Backend) promise(now time.Time) float64 {
	return b.latency.at(now) * float64(b.active.Load()+1) / float64(b.share)
}
