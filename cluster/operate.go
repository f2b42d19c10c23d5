package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// operation is the operator's word that is being followed.
type operation struct {
	said
	phase phase
	to    string // moving: the heir; relayed: the leader
	id    uint64 // of a relayed word
	term  uint64 // moving: that the heir claims with; 0: not yet ordered
	begun time.Time
	quiet time.Time // moving: since when this node is silent on ARP and ND
	out   Outcome
	seq   uint64 // keeping: what is to be on disk
}

type phase int

const (
	moving  phase = iota // the VIP is handed over
	relayed              // the leader was asked
	keeping              // what was decided is being written to disk
)

// doing says what is under way, for whoever comes second.
func (o *operation) doing(now time.Time) string {
	what := map[phase]string{moving: "the VIP is being handed over to " + o.to, relayed: o.to + " was asked", keeping: "it is being written to disk"}[o.phase]
	return fmt.Sprintf("%s, asked for by %s %v ago, is under way: %s", o.Word, o.By, now.Sub(o.begun).Round(time.Millisecond), what)
}

// say takes in a word; it is judged in this turn of the loop, with a fresh view. One word at a time.
func (n *Node) say(s said) {
	now := time.Now()
	n.log.Info("operator asked", "what", s.String(), "by", s.By)
	n.rec.word(now, "operator-asked", s.String(), fmt.Sprintf("%s asked for %s", s.By, s))
	switch {
	case n.op != nil:
		n.refuse(s, refused(RefusedBusy, "%s", n.op.doing(now)))
	case n.hearing != nil:
		n.refuse(s, refused(RefusedBusy, "%s, asked for by %s, has just begun", n.hearing.Word, n.hearing.By))
	case n.leaving:
		n.refuse(s, refused(RefusedStopping, "%s is stopping", n.Policy.Name))
	default:
		n.hearing = &s
	}
}

func (n *Node) refuse(s said, err error) {
	n.log.Warn("operator's word was not followed", "what", s.String(), "by", s.By, "reason", err.Error())
	n.rec.word(time.Now(), "operator-refused", fmt.Sprintf("%s: %v", s, err), fmt.Sprintf("refused %s to %s: %v", s, s.By, err))
	s.answer(Outcome{}, err)
}

// finish ends the operation and answers.
func (n *Node) finish(o Outcome, err error) {
	op := n.op
	n.op = nil
	if err != nil {
		n.refuse(op.said, err)
		return
	}
	log := n.log
	if o.Moved {
		log = log.With("from", o.From, "to", o.To, "away", o.Away.Round(10*time.Microsecond))
	}
	log.Info("operator's word was followed", "what", op.String(), "by", op.By, "took", o.Took.Round(100*time.Microsecond))
	op.answer(o, nil)
}

// judge begins what was asked for since the last turn, or refuses it.
func (n *Node) judge(ctx context.Context, v election.View, f Facts, now time.Time) {
	s := n.hearing
	if s == nil {
		return
	}
	n.hearing = nil
	switch s.Do {
	case Handover:
		n.judgeHandover(ctx, *s, v, f, now)
	case MaintenanceOn:
		n.judgeMaintenance(*s, v, now)
	case MaintenanceOff:
		n.keepMaintenance(&operation{said: *s, begun: now}, false)
	default:
		n.refuse(*s, refused(RefusedUnknown, "%q is nothing that can be done", s.Do))
	}
}

func (n *Node) judgeHandover(ctx context.Context, s said, v election.View, f Facts, now time.Time) {
	if n.giving.To != "" {
		n.refuse(s, refused(RefusedBusy, "a handover to %s is under way", n.giving.To))
		return
	}
	if !n.wish || !(f.Holds || f.Quiet) {
		n.judgeElsewhere(ctx, s, v, now)
		return
	}
	self := n.Policy.Name
	if s.To == self {
		n.word = election.Word{To: self, At: now, ByHand: true}
		n.op = &operation{said: s, begun: now}
		n.finish(Outcome{From: self, To: self, Term: n.term, Note: self + " leads already; it stays, set by hand"}, nil)
		return
	}
	list := election.Candidates(n.Policy, v, now)
	to, err := n.heir(list, s.To)
	if err != nil {
		n.refuse(s, err)
		return
	}
	n.begin(s, to, true, now)
}

// begin has the election hand over.
func (n *Node) begin(s said, to string, byHand bool, now time.Time) {
	n.word = election.Word{To: to, At: now, ByHand: byHand}
	n.op = &operation{said: s, phase: moving, to: to, begun: now}
}

// judgeElsewhere passes a handover on to whoever leads.
func (n *Node) judgeElsewhere(ctx context.Context, s said, v election.View, now time.Time) {
	var leader election.Peer
	for _, p := range v.Peers {
		if p.Holds && n.stateOf(p, now) == PeerAlive && p.Term >= leader.Term {
			leader = p
		}
	}
	switch {
	case s.from != "":
		n.refuse(s, refused(RefusedNoLeader, "%s does not lead; ask again", n.Policy.Name))
	case leader.Name == "":
		n.refuse(s, refused(RefusedNoLeader, "nobody leads, as far as %s knows, so nobody can hand over", n.Policy.Name))
	default:
		n.relay(ctx, s, leader.Name, now)
	}
}

// heir is the node to hand over to: the one that was named, or the best.
func (n *Node) heir(list []election.Candidate, name string) (string, error) {
	var others []string
	for _, c := range list {
		switch {
		case c.Obstacle == "" && (name == "" || c.Name == name):
			return c.Name, nil
		case c.Name == name:
			return "", refused(RefusedUnfit, "%s %s", name, c.Obstacle)
		}
		if c.Obstacle != "" {
			others = append(others, c.Name+" "+c.Obstacle.String())
		} else {
			others = append(others, c.Name)
		}
	}
	known := strings.Join(others, ", ")
	switch {
	case name != "" && known == "":
		return "", refused(RefusedUnknown, "%s %s: %s", name, election.ObstacleUnknown, n.strangers())
	case name != "":
		return "", refused(RefusedUnknown, "%s %s; its peers: %s", name, election.ObstacleUnknown, known)
	case known == "":
		return "", refused(RefusedNoStandby, "there is no standby: %s", n.strangers())
	}
	return "", refused(RefusedNoStandby, "no standby could take over: %s", known)
}

// strangers is what there is to say of the peers when none is known.
func (n *Node) strangers() string {
	if len(n.Configured) == 0 {
		return "no peer is configured in cluster.peers"
	}
	return "none of cluster.peers (" + strings.Join(n.Configured, ", ") + ") has been heard since the start; tandem status tells what is known of them"
}

// judgeMaintenance begins maintenance: a leader hands over first, and the last node that could lead refuses.
func (n *Node) judgeMaintenance(s said, v election.View, now time.Time) {
	op := &operation{said: s, begun: now}
	if n.maintenance {
		op.out.Note = n.Policy.Name + " was in maintenance already"
		n.keepMaintenance(op, true)
		return
	}
	if n.giving.To != "" {
		n.refuse(s, refused(RefusedBusy, "a handover to %s is under way", n.giving.To))
		return
	}
	list := election.Candidates(n.Policy, v, now)
	if n.wish {
		to, err := n.heir(list, "")
		switch {
		case err == nil:
			n.begin(s, to, false, now)
		case s.Force:
			n.force(op, err.Error())
		default:
			n.refuse(s, refused(RefusedLastFit, "%s leads, and %v. With --force the VIP is let go, and nobody holds it until a node may lead again", n.Policy.Name, err))
		}
		return
	}
	var others []string
	for _, c := range list {
		if c.Obstacle == "" || c.Obstacle == election.ObstacleHolds {
			n.keepMaintenance(op, true)
			return
		}
		others = append(others, c.Name+" "+c.Obstacle.String())
	}
	if len(others) == 0 {
		others = []string{n.strangers()}
	}
	why := "nobody else could lead: " + strings.Join(others, ", ")
	if s.Force {
		n.force(op, why)
		return
	}
	n.refuse(s, refused(RefusedLastFit, "%s. With --force %s does not lead all the same, and the VIP is with nobody until a node may lead again", why, n.Policy.Name))
}

// force begins maintenance though nobody is left to lead.
func (n *Node) force(op *operation, why string) {
	op.out.Note = "forced: " + why
	if n.wish {
		op.out.Note += "; the VIP was let go, NOBODY holds it"
	}
	n.log.Warn("maintenance by force: nobody is left to lead", "node", n.Policy.Name, "let_go", n.wish, "reason", why)
	n.keepMaintenance(op, true)
}

// keepMaintenance sets maintenance, and answers when that is on disk.
func (n *Node) keepMaintenance(op *operation, on bool) {
	op.phase = keeping
	n.op = op
	if n.maintenance != on {
		n.maintenance = on
		n.log.Info("maintenance", "node", n.Policy.Name, "on", on, "by", op.By)
	}
	op.seq = n.save()
	if n.Save == nil {
		n.finish(op.out, nil)
	}
}

// kept is called when something has been written to disk, or could not be.
func (n *Node) saved(s stored) {
	op := n.op
	if op == nil || op.phase != keeping || s.seq < op.seq {
		return
	}
	op.out.Took = time.Since(op.begun)
	if s.err != nil {
		n.finish(op.out, refused(FailedUnkept, "maintenance is %s, but will not outlive a restart of %s: %v", onOff(n.maintenance), n.Policy.Name, s.err))
		return
	}
	n.finish(op.out, nil)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
