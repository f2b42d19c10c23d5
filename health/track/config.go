package track

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/command"
)

// Kind says what a thing is.
type Kind string

// The kinds of tracked things.
const (
	Interface Kind = "interface" // its link is up and has a carrier
	Gateway   Kind = "gateway"   // it answers ARP or neighbour solicitations
	Script    Kind = "script"    // it ends with status 0
	Process   Kind = "process"   // it runs
	File      Kind = "file"      // it is there, or not, and contains something
	Own       Kind = "self-test" // what Item.Check says
)

// Item is one tracked thing. Zero values mean the defaults.
type Item struct {
	Kind Kind
	Name string // for people; unlike any other of its kind
	// Weight is how many points of unfitness are added while it fails, 1..254; default 50.
	Weight int
	// Absolute makes the node unfit while the thing fails, even if no other node could lead: where it fails on all nodes, nobody holds the VIP.
	Absolute bool
	Interval time.Duration // between checks; default 1 s, of scripts 5 s
	Timeout  time.Duration // of one check; default 300 ms for gateways, 2 s for others; at most Interval
	Rise     int           // consecutive successes after which a failing thing is well again; default 2, of interfaces 3
	Fall     int           // consecutive failures after which it fails; default 3, of interfaces 1
	// Linger is how long it fails at least after its newest failure; default 0.
	Linger time.Duration

	Link    string                      // of Interface: its name. Of Gateway: where it is asked; default: the interface that the route to it names
	Addr    netip.Addr                  // of Gateway
	Avoid   []netip.Addr                // of Gateway: own addresses that do not ask, because they may be another node's by now
	Command command.Command             // of Script; its Timeout is Timeout
	Process string                      // of Process: its name, as the kernel knows it, or the file name of its program
	PIDFile string                      // of Process: a file that holds its process id; with Process, both must fit
	Path    string                      // of File
	Absent  bool                        // of File: it must not be there
	Text    string                      // of File: what its first 64 KiB contain; empty: anything
	Check   func(context.Context) error // of Own: nil means that all is well
}

// MaxItems bounds how many things one node tracks.
const MaxItems = 64

// WithDefaults returns a copy in which every zero value is replaced by what it means.
func (i Item) WithDefaults() Item {
	i.Weight = cmp.Or(i.Weight, 50)
	interval, timeout, rise, fall := time.Second, 2*time.Second, 2, 3
	switch i.Kind {
	case Interface:
		rise, fall = 3, 1
	case Gateway:
		timeout = 300 * time.Millisecond
	case Script:
		interval = 5 * time.Second
	case Process, File, Own:
	}
	i.Interval = cmp.Or(i.Interval, interval)
	i.Timeout = min(cmp.Or(i.Timeout, timeout), i.Interval)
	i.Rise, i.Fall = cmp.Or(i.Rise, rise), cmp.Or(i.Fall, fall)
	return i
}
