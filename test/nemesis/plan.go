package main

import (
	"math/rand/v2"
	"time"
)

// act is one fault of an episode.
type act struct {
	kind  kind
	node  int           // of two
	at    time.Duration // after the beginning of the episode
	lasts time.Duration
}

// episode is one fault or two that overlap, and the time in which everything is well again before the next.
type episode struct {
	acts []act
	rest time.Duration
}

// draw draws the next episode. Equal sources draw equal episodes.
func draw(r *rand.Rand, kinds []kind) episode {
	e := episode{rest: between(r, 200*msec, 1500*msec)}
	n := 1
	if r.IntN(3) == 0 {
		n = 2
	}
	for i := range n {
		k := kinds[r.IntN(len(kinds))]
		a := act{kind: k, node: r.IntN(2), lasts: between(r, k.min, k.max)}
		if i > 0 {
			a.at = between(r, 0, e.acts[0].lasts)
		}
		e.acts = append(e.acts, a)
	}
	return e
}

func between(r *rand.Rand, a, b time.Duration) time.Duration {
	return a + time.Duration(r.Int64N(int64(b-a)+1))
}

// together is what two faults at once may cost beyond what each does: the second may hit in the middle of what the first has set off.
const together = time.Second

// allowed is what an episode may cost: what its faults may cost together. While no node can lead, there is no limit.
func (e episode) allowed() cost {
	var c cost
	taken := map[int]bool{}
	barred := 0 // a deaf standby does not claim, whichever it is
	for _, a := range e.acts {
		c = c.add(a.kind.cost)
		if a.kind.takes {
			taken[a.node] = true
		}
		if a.kind.bars {
			barred++
		}
	}
	if len(e.acts) > 1 {
		c = c.add(cost{together, together})
	}
	if len(taken)+barred > 1 {
		c.blackout = unlimited
	}
	return c
}
