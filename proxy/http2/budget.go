package http2

import "time"

// What frames that a client gets work done with, for nothing, cost of its budget. A browser that cancels a page of images, or gRPC that
// measures with pings, stays far below it; a rapid reset (CVE-2023-44487) or a flood of pings or settings does not.
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
