package pool

import (
	"math"
	"time"
)

const (
	// memory is the time constant with which a worst latency is forgotten, as in Finagle, whose balancer this is
	// ("peak EWMA").
	memory = 10 * time.Second
	// leastLatency stands for what was never measured, or long ago. More than zero, so that connections count.
	leastLatency = float64(50 * time.Microsecond)
)

// latency is a moving average that believes bad news at once and good news slowly.
type latency struct {
	value float64 // nanoseconds
	seen  time.Time
}

// at returns the average as it is now: without news it falls, so that a backend that was slow once is tried again.
func (l *latency) at(now time.Time) float64 {
	return max(l.value*kept(now.Sub(l.seen)), leastLatency)
}

// add takes a measured value in.
func (l *latency) add(took time.Duration, now time.Time) {
	v, w := float64(took), kept(now.Sub(l.seen))
	if v < l.value*w { // what is left of the peak is still more
		v = l.value*w + v*(1-w)
	}
	l.value, l.seen = v, now
}

// kept is which part of a value of that age still counts.
func kept(age time.Duration) float64 { return math.Exp(-float64(max(age, 0)) / float64(memory)) }
