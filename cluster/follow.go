package cluster

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// follow looks, after each decision, how far the operation has come.
func (n *Node) follow(f Facts, d election.Decision, now time.Time) {
	op := n.op
	if op == nil {
		return
	}
	late := now.Sub(op.begun) > wordTime
	switch op.phase {
	case moving:
		n.followMove(op, f, d, now)
	case relayed:
		leader, ok := n.Pulse.Snapshot()[op.to]
		if !ok || now.Sub(leader.HeardAt) >= n.Policy.Failover || late || n.leaving {
			n.finish(Outcome{}, refused(FailedUnanswered, "%s was asked to hand over and did not answer; what came of it, tandem status tells", op.to))
		}
	case keeping:
		if late {
			n.saved(stored{op.seq, errSlowDisk})
		}
	}
}

func (n *Node) followMove(op *operation, f Facts, d election.Decision, now time.Time) {
	if op.term == 0 && n.giving.To == op.to {
		op.term = n.giving.Term
	}
	if op.quiet.IsZero() && f.Quiet {
		op.quiet = f.QuietAt
	}
	self := n.Policy.Name
	switch {
	case !d.Hold && d.Reason == election.ReasonHandedOver:
		op.out = Outcome{Moved: true, From: self, To: op.to, Term: op.term, Took: now.Sub(op.begun)}
		if heard := n.watch(op.to).arrivedAt; !op.quiet.IsZero() {
			op.out.Away = max(heard.Sub(op.quiet), 0)
		}
		if op.Do == MaintenanceOn {
			n.keepMaintenance(op, true)
			return
		}
		n.finish(op.out, nil)
	case !d.Hold:
		n.unmoved(op, refused(FailedLost, "%s no longer holds, but did not hand over to %s: %s", self, op.to, d.Reason))
	case op.term == 0:
		if now.Sub(op.begun) > n.Policy.Handover {
			n.unmoved(op, refused(FailedCancelled, "%s leads on: the handover to %s could not begin: %s", self, op.to, d.Reason))
		}
	case n.giving.To == "" || n.giving.Term != op.term:
		why := "it did not hold within " + n.Policy.Handover.String()
		if w := n.watch(op.to); w.state != PeerAlive {
			why = "it is " + string(w.state)
		}
		n.unmoved(op, refused(FailedCancelled, "%s leads on, with term %d: %s did not take over: %s; its log tells more", self, n.term, op.to, why))
	}
}

// unmoved ends an operation whose handover failed. Maintenance by force goes on without it.
func (n *Node) unmoved(op *operation, err error) {
	if op.Do == MaintenanceOn && op.Force {
		n.force(op, err.Error())
		return
	}
	n.finish(Outcome{}, err)
}
