package fitness

import (
	"fmt"
	"slices"
	"strings"
)

// Points of relative unfitness. Tracked things have the weights that the operator gave them, 1..254 each. A node that fails in anything still
// leads when nobody better is there: one mistake in a file that both nodes got must not leave the VIP with nobody.
const (
	perListener = 100
	// contested: the VIP is here for moments only.
	contested = 2000
	// DataPlane, of a node that cannot connect to itself, outweighs listeners and tracked things: clients are known not to be served.
	DataPlane = 20000
)

// maxRank keeps Rank within what beats carry (16 bits).
const maxRank = 60000

// Inputs is what is known about this node.
type Inputs struct {
	LinkUp    bool      // carrier, administratively up, an own address present
	LinkWhy   string    // why the link is not up, in a few words, and which one
	Barred    string    // why the VIP cannot be claimed on a link that is up; empty: nothing
	Contested string    // why the VIP does not stay on this host; empty: it does
	Listeners []string  // names of the listeners that could not open, in any order
	DataPlane string    // why connections of this node to itself fail; empty: they do not
	Failing   []Tracked // tracked things that fail, in any order
	Pools     []Pool
}

// Tracked is something that fails.
type Tracked struct {
	Name     string // with its kind, for Why
	Weight   int    // points of unfitness
	Absolute bool   // this node must not lead while it fails
	// Prompt: it is known at once when it fails, so that the VIP need not wait to see whether it fails elsewhere, too.
	Prompt bool
}

// Pool is how many backends of a pool this node reaches.
type Pool struct {
	Name    string
	Up, All int
	// Weight is the unfitness of a node that reaches none of them; 0: it does not matter.
	Weight int
}

// Verdict is what follows.
type Verdict struct {
	Fit  bool // false only for an absolute reason: the node must not hold the VIP even if it is alone
	Rank int  // relative unfitness: 0 is best; of several fit nodes the one with the smallest leads
	// Slow is further unfitness for tracked things that are looked at now and then. It counts when it has lasted: two nodes do not notice at the
	// same moment that something has failed for both.
	Slow int
	// Reach is further unfitness for the backends that this node does not reach. It is slow, too, and compares only between nodes
	// with the same pools.
	Reach int
	Why   string // empty if there is nothing to say; equal inputs give equal words, so that a change can be logged
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
		why = append(why, "link: "+reason)
	}
	if in.Barred != "" {
		v.Fit = false
		why = append(why, in.Barred)
	}
	if in.DataPlane != "" {
		v.Rank += DataPlane
		why = append(why, "cannot connect to itself: "+in.DataPlane)
	}
	if in.Contested != "" {
		v.Rank += contested
		why = append(why, in.Contested)
	}
	if n := len(in.Listeners); n > 0 {
		v.Rank += n * perListener
		names := slices.Sorted(slices.Values(in.Listeners))
		why = append(why, "cannot open listener "+strings.Join(names, ", "))
	}
	why = append(why, v.tracked(in.Failing)...)
	why = append(why, v.pools(in.Pools)...)
	v.Rank, v.Slow, v.Reach = min(v.Rank, maxRank), min(v.Slow, maxRank), min(v.Reach, maxRank)
	v.Why = strings.Join(why, "; ")
	return v
}

func (v *Verdict) tracked(failing []Tracked) (why []string) {
	for _, t := range failing {
		if t.Prompt {
			v.Rank += t.Weight
		} else {
			v.Slow += t.Weight
		}
		v.Fit = v.Fit && !t.Absolute
		why = append(why, t.Name+" fails")
	}
	slices.Sort(why)
	return why
}

func (v *Verdict) pools(pools []Pool) (why []string) {
	for _, p := range pools {
		if lost := unreached(p); lost > 0 {
			v.Reach += lost
			why = append(why, fmt.Sprintf("reaches %d of %d backends of pool %s", p.Up, p.All, p.Name))
		}
	}
	slices.Sort(why)
	return why
}

// steps is into how many parts a pool is divided: a difference of less than a tenth of the backends is not worth a move of the VIP.
const steps = 10

// unreached is the unfitness for the backends of a pool that are not reached.
func unreached(p Pool) int {
	if p.All <= 0 {
		return 0
	}
	down := min(max(p.All-p.Up, 0), p.All)
	return p.Weight * (down * steps / p.All) / steps
}
