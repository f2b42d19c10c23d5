package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/gossip"
)

// judged takes in this node's fitness and tells when it has changed. The link is looked at a moment after the start: that it is not up before is no news.
func (n *Node) judged(f Fitness, now time.Time) {
	n.fitness = f
	was := n.fitnessTold
	if f == was || !f.Fit && now.Sub(n.started) < n.Policy.Settle/2 {
		return
	}
	n.fitnessTold = f
	why := f.Why
	if why == "" {
		why = "nothing is wrong"
	}
	pairs := []any{"fit", f.Fit, "unfitness", f.points(), "before", was.points(), "reason", why}
	if f.Fit && f.points() <= was.points() {
		n.log.Info("fitness changed", pairs...)
	} else {
		n.log.Warn("fitness got worse", pairs...)
	}
}

// points are all of a node's unfitness that is relative.
func (f Fitness) points() int { return f.Rank + f.Slow + f.Reach }

// comparable is what reach counts for: nothing unless all count the same backends.
func (n *Node) comparable(reach int, members []gossip.Member) int {
	if reach == 0 || !n.agrees(members) {
		return 0
	}
	return reach
}

// agrees reports whether all members have the same configuration, as far as nodes must: only then do they count the same backends.
func (n *Node) agrees(members []gossip.Member) bool {
	for _, m := range members {
		there := m.State == gossip.Alive || m.State == gossip.Suspect
		if there && m.Meta.ConfigHash != 0 && m.Meta.ConfigHash != n.Meta.ConfigHash && m.Name != n.Policy.Name {
			return false
		}
	}
	return true
}
