package http2

import "time"

// What frames that a client gets work done with, for nothing, cost of its budget. A browser that cancels a page of images stays far below
// it; a rapid reset (CVE-2023-44487) or a flood of pings or settings does not.
const (
	budgetSize   = 2000
	budgetGain   = 200 // a second
	costOfReset  = 10
	costOfSignal = 1
)

// budget is a token bucket. It is for one goroutine.
type budget struct {
	left float64
	at   time.Time
}

func newBudget() budget { return budget{left: budgetSize, at: time.Now()} }

// spend reports whether the client still has that much.
func (b *budget) spend(cost float64) bool {
	b.left -= cost
	if b.left >= 0 {
		return true
	}
	now := time.Now()
	b.left = min(budgetSize, b.left+budgetGain*now.Sub(b.at).Seconds())
	b.at = now
	return b.left >= 0
}

const (
	// earned is how many pings and window updates go with a frame of an answer: gRPC measures each round trip, and both windows of
	// a stream are moved after what it has taken.
	earned    = 3
	mostEarns = 1 << 14
	// worthy is how much must be in a frame of an answer for that: who moves its windows by a byte at a time pays for it.
	worthy = 256
)

// earn lets the client say more after an answer's frame of size bytes.
func (c *Conn) earn(size int) {
	if size >= worthy {
		c.earns = min(c.earns+earned, mostEarns)
	}
}
