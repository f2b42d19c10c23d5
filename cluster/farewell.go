package cluster

import (
	"context"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

const (
	// graceWait bounds how long a leader that has handed over leaves requests in flight the time to be answered: it still answers IP, and answers
	// reach clients whatever their neighbour caches say. Longer saves slower requests, and leaves long-lived connections, whose
	// clients do not speak, in the dark for longer.
	graceWait = 200 * time.Millisecond
	// graceStep is how often it looks whether they have been.
	graceStep = time.Millisecond
	// resetWait bounds how long it then goes on answering IP, in silence on ARP and ND, while its client connections are reset.
	resetWait = 50 * time.Millisecond
)

// reset ends the client connections of a node that lets go, so that clients learn at once instead of waiting for an answer that cannot come.
// After a handover it first waits for requests in flight.
func (n *Node) reset(why election.Reason, now time.Time) {
	var grace time.Duration
	if n.going && why == election.ReasonHandedOver {
		grace = graceWait
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	done := make(chan struct{})
	n.resetDone, n.resetBy, n.spare = done, now.Add(grace+resetWait), cancel
	n.tasks.Go(func() {
		defer close(done)
		defer cancel()
		for n.Traffic.Active() > 0 {
			if !sleep(ctx, graceStep) {
				break
			}
		}
		if ctx.Err() != context.Canceled { //nolint:errorlint // of this very context
			n.Traffic.Reset()
		}
	})
}

// keepClients ends a farewell that is under way: this node claims again, and its clients are its own.
func (n *Node) keepClients() {
	if n.resetDone == nil {
		return
	}
	n.spare()
	n.resetDone = nil
	n.endGiving()
}

// endGiving forgets the handover that this node, as the leader, had begun.
func (n *Node) endGiving() {
	n.giving, n.ready, n.going = election.Giving{}, false, false
	n.Traffic.SetClosing(false)
}

func (n *Node) resetting(now time.Time) bool {
	if n.resetDone == nil || now.After(n.resetBy) {
		return false
	}
	select {
	case <-n.resetDone:
		return false
	default:
		return true
	}
}
