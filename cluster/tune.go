package cluster

import (
	"context"
	"time"
)

// Preference is what may change of a node's policy while it runs. It says who leads rather than others, never whether anybody does.
type Preference struct {
	Priority     int
	Preempt      bool
	PreemptDelay time.Duration
	// ConfigHash is what the others are told of the configuration.
	ConfigHash uint64
}

// Tune changes the preference at the loop's next turn. The error is ctx's, or says that the node has ended.
func (n *Node) Tune(ctx context.Context, p Preference) error {
	select {
	case n.tuned <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ended:
		return errEnded
	}
}

// tune belongs to the loop. Beats and gossip tell the others in this turn.
func (n *Node) tune(p Preference) {
	n.Policy.Priority, n.Policy.Preempt, n.Policy.PreemptDelay = p.Priority, p.Preempt, p.PreemptDelay
	n.rec.priority = p.Priority
	n.Meta.Priority, n.Meta.ConfigHash = uint8(p.Priority), p.ConfigHash //nolint:gosec // 1..254, as the configuration says
}
