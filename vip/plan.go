package vip

import (
	"net/netip"

	"github.com/tandem-lb/tandem/vip/fence"
)

// goal is what the wish comes to, once everything that forbids it has been looked at.
type goal struct {
	hold, quiet bool
}

// fact is what is so.
type fact struct {
	mode     fence.Mode     // what passes
	armed    bool           // there is a ticket for a claim
	present  []netip.Prefix // ours, on the link
	absent   []netip.Prefix // not on the link, or not known to be
	vanished []netip.Prefix // of those present: reported as removed by somebody else
	busy     bool           // addresses are being added or removed
	renew    bool           // the addresses' lease is due
}

// verb is one kind of step.
type verb uint8

const (
	shut   verb = iota // the gate
	arm                // the gate: begin a claim
	open               // the gate: end a claim, everything is there
	turn               // the gate, from open to quiet or back
	add                // addresses, behind a shut gate
	remove             // addresses
	readd              // addresses that vanished
	renew              // the addresses' lease
)

// step is one thing to do. Steps that concern addresses are done by the hand, one at a time; the others at once.
type step struct {
	do   verb
	what []netip.Prefix
}

// plan returns the steps from the fact towards the goal that can be taken now. The order is the safety: the gate is shut before an address is
// touched, and opened only when every address is there, so that a node never answers for some of them.
func plan(g goal, f fact) []step {
	if !g.hold {
		return letGo(f)
	}
	mode := fence.Open
	if g.quiet {
		mode = fence.Quiet
	}
	if f.mode == fence.Shut {
		return claim(f)
	}
	var steps []step
	if f.mode != mode {
		steps = append(steps, step{do: turn})
	}
	switch {
	case f.busy:
	case len(f.vanished) > 0:
		steps = append(steps, step{readd, f.vanished})
	case f.renew:
		steps = append(steps, step{renew, f.present})
	}
	return steps
}

func claim(f fact) []step {
	var steps []step
	if !f.armed {
		steps = append(steps, step{do: arm})
	}
	switch {
	case f.busy:
	case len(f.absent) > 0:
		steps = append(steps, step{add, f.absent})
	default:
		steps = append(steps, step{do: open})
	}
	return steps
}

func letGo(f fact) []step {
	var steps []step
	if f.mode != fence.Shut || f.armed {
		steps = append(steps, step{do: shut})
	}
	if len(f.present) > 0 && !f.busy {
		steps = append(steps, step{remove, f.present})
	}
	return steps
}
