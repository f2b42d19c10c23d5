package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Do is what an operator wants done.
type Do string

// What an operator can want.
const (
	Handover       Do = "handover"
	MaintenanceOn  Do = "maintenance on"
	MaintenanceOff Do = "maintenance off"
)

// Word is an operator's word to this node.
type Word struct {
	Do    Do
	To    string // of Handover: the node that shall lead; empty: the best standby
	Force bool   // of MaintenanceOn: even if nobody is left who could lead
	By    string // who says so, for the log
}

func (w Word) String() string {
	s := string(w.Do)
	if w.To != "" {
		s += " to " + w.To
	}
	if w.Force {
		s += " --force"
	}
	return s
}

// Outcome is what came of a word that was followed.
type Outcome struct {
	Moved bool // the VIP went from one node to another
	From  string
	To    string // who holds now, as far as the word was about that
	Term  uint64
	// Away is how long nobody answered ARP and ND for the VIP: from the moment at which From fell silent until From knew from To's beat that To
	// answers. The way of that beat is in it, so it is rather told too long than too short. Zero: From answered until To did.
	Away time.Duration
	// Took is the time from the word to the fact.
	Took time.Duration
	// Note is what else there is to say, in a sentence; empty: nothing.
	Note string
}

// Refusal says that a word was not followed, or did not come to its end, and what is so instead.
type Refusal struct {
	Code string // the same in all versions, for scripts: see the constants
	Why  string
}

func (r *Refusal) Error() string { return r.Why }

// Codes of Refusal.
const (
	RefusedBusy      = "busy"       // another word is being followed
	RefusedNoStandby = "no-standby" // nobody is there who could lead
	RefusedUnfit     = "unfit"      // the node named cannot lead now
	RefusedUnknown   = "unknown"    // there is no such node
	RefusedLastFit   = "last-fit"   // nobody else could lead
	RefusedNoLeader  = "no-leader"  // nobody leads who could hand over
	RefusedStopping  = "stopping"   // this node is about to end
	FailedCancelled  = "cancelled"  // the handover did not come to its end: the old leader leads
	FailedLost       = "lost"       // the leader lost the VIP in another way meanwhile
	FailedUnkept     = "unkept"     // it is so, but will not outlive a restart
	FailedUnanswered = "unanswered" // the leader was asked and did not answer: what came of it is not known
)

func refused(code, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// said is a word on its way to the loop, and where its answer goes.
type said struct {
	Word
	from   string // the peer that passed it on; empty: it was said here
	answer func(Outcome, error)
}

var errEnded = errors.New("the node has ended")

// Obey follows an operator's word, and returns when it is a fact, refused (*Refusal), or has failed (*Refusal too). When ctx ends first it returns its
// error, and what was begun goes on. One word is followed at a time.
func (n *Node) Obey(ctx context.Context, w Word) (Outcome, error) {
	type reply struct {
		o   Outcome
		err error
	}
	c := make(chan reply, 1) // the loop does not wait for whoever has gone
	select {
	case n.words <- said{w, "", func(o Outcome, err error) { c <- reply{o, err} }}:
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	case <-n.ended:
		return Outcome{}, errEnded
	}
	select {
	case r := <-c:
		return r.o, r.err
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	case <-n.ended:
		select {
		case r := <-c: // at the last moment
			return r.o, r.err
		default:
			return Outcome{}, errEnded
		}
	}
}
