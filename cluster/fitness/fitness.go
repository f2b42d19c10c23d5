package fitness

import (
	"fmt"
	"slices"
	"strings"
)

// Points of relative unfitness. A node that cannot serve a listener is worse than one that fails any number of tracked
// things below it, but it still leads when nobody better is there: one mistake in a file that both nodes got must not
// leave the VIP with nobody.
const perListener = 100

// maxRank keeps Rank within what beats carry (16 bits).
const maxRank = 60000

// Inputs is what is known about this node.
type Inputs struct {
	LinkUp    bool     // carrier, administratively up, an own address present
	LinkWhy   string   // why the link is not up, in a few words
	Link      string   // its name, for Why
	Barred    string   // why the VIP cannot be claimed on a link that is up; empty: nothing
	Listeners []string // names of the listeners that could not open, in any order
}

// Verdict is what follows.
type Verdict struct {
	Fit  bool   // false only for an absolute reason: the node must not hold the VIP even if it is alone
	Rank int    // relative unfitness: 0 is best; of several fit nodes the one with the smallest leads
	Why  string // empty if there is nothing to say; equal inputs give equal words, so that a change can be logged
}

// Judge judges. It is deterministic and keeps no reference to in.
func Judge(in Inputs) Verdict {
	v := Verdict{Fit: true}
	var why []string
	if !in.LinkUp {
		v.Fit = false
		reason := in.LinkWhy
		if reason == "" {
			reason = "down"
		}
		why = append(why, strings.TrimSpace(fmt.Sprintf("link %s: %s", in.Link, reason)))
	}
	if in.Barred != "" {
		v.Fit = false
		why = append(why, in.Barred)
	}
	if n := len(in.Listeners); n > 0 {
		v.Rank = min(n*perListener, maxRank)
		names := slices.Sorted(slices.Values(in.Listeners))
		why = append(why, "cannot open listener "+strings.Join(names, ", "))
	}
	v.Why = strings.Join(why, "; ")
	return v
}
