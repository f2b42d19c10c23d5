package notify

import (
	"time"

	"github.com/tandem-lb/tandem/command"
)

// Event is what a node can become.
type Event string

// What commands are told of. A node is one of these at a time; in between (settling, claiming, handing over) it counts as what it was.
const (
	Leader      Event = "leader"      // it holds the VIP
	Standby     Event = "standby"     // fit, and it waits
	Unfit       Event = "unfit"       // it must not lead: its link is down, for one
	Maintenance Event = "maintenance" // an operator keeps it from leading
	Dual        Event = "dual"        // it holds the VIP and hears that another node does too
	Stopped     Event = "stopped"     // the daemon ends, and has let go
)

// Events are all of them.
func Events() []Event { return []Event{Leader, Standby, Unfit, Maintenance, Dual, Stopped} }

// Hook is a command and what it is told of.
type Hook struct {
	On      []Event
	Command command.Command // without its Env; its Timeout is how long one call may take
}

// Config describes whom to tell.
type Config struct {
	Node  string
	Boot  string // of this start of the daemon: part of the id of each event
	VIPs  string // separated by spaces
	Hooks []Hook // told in this order
	// Run runs a command; nil: command.Run.
	Run Runner
}

// State is what a node is now.
type State struct {
	Event  Event
	Since  time.Time
	Term   uint64
	Reason string // why, in a sentence
	Code   string // why, in one word that stays the same
	Peer   string // whom the reason is about, or the other holder; may be empty
	Leader string // who holds, as far as this node knows; empty: nobody
}
