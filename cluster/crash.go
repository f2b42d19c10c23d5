package cluster

import (
	"context"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer"
)

// confirmation is the answer to the question whether a peer whose stream broke still lives.
type confirmation struct {
	peer    string
	broke   time.Time
	verdict Verdict
	err     error
	took    time.Duration
}

// ask starts a confirmation when a holder's stream broke: the end of a stream is a hint (a firewall that resets looks
// the same), a VIP listener that refuses at the peer's own address is the proof.
func (n *Node) ask(ctx context.Context, name string, w *watched, s peer.State, now time.Time) {
	if s.BrokeAt.IsZero() || !s.BrokeAt.After(w.askedFor) || now.Sub(s.BrokeAt) > n.Policy.Failover {
		return
	}
	w.askedFor = s.BrokeAt
	n.log.Info("peer stream broke", "peer", name, "held", w.held)
	macs := n.macs[name]
	if !w.held && n.giving.To != name || !w.whole || len(macs) == 0 {
		return // nothing is gained by knowing at once, or a refusal would prove nothing; silence will tell
	}
	n.tasks.Go(func() {
		c := confirmation{peer: name, broke: s.BrokeAt}
		// A dying process with many connections takes a while to close its listeners: ask again until silence decides anyway.
		ctx, cancel := context.WithDeadline(ctx, s.BrokeAt.Add(n.Policy.Failover))
		defer cancel()
		for ctx.Err() == nil {
			c.verdict, c.err = n.VIP.Confirm(ctx, macs)
			if c.verdict == Refused || !sleep(ctx, confirmEvery) {
				break
			}
		}
		c.took = time.Since(s.BrokeAt)
		select {
		case n.confirmed <- c:
		case <-ctx.Done():
			if c.verdict == Refused {
				n.log.Debug("confirmation came too late", "peer", name)
			}
		}
	})
}

// confirmEvery is the pause between two questions to a peer that may be dying.
const confirmEvery = 2 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *Node) confirm(c confirmation) {
	w := n.watch(c.peer)
	switch {
	case c.verdict == Refused && !w.arrivedAt.After(c.broke):
		w.crashedAt = c.broke
	case c.err != nil:
		n.log.Warn("could not ask whether the peer still serves; waiting for its silence instead", "peer", c.peer, "err", c.err)
	}
}
