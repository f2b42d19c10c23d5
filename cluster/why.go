package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
)

// Why says in sentences why this node is what it is: the rule, what it was applied to, and what would change it.
func (s Status) Why(p election.Policy, now time.Time) []string {
	y := &why{s: s, p: p, now: now}
	switch {
	case s.Holds || s.Quiet || s.Hold:
		y.leads()
	default:
		y.stays()
	}
	y.self()
	for _, q := range s.Peers {
		y.peer(q)
	}
	if w := wireWord(s.Facts.Wire, p.Failover, now); w != "" {
		y.say("On the wire: %s.", w)
	}
	return y.out
}

// why is an explanation in the making.
type why struct {
	s   Status
	p   election.Policy
	now time.Time
	out []string
}

func (y *why) say(format string, args ...any) { y.out = append(y.out, fmt.Sprintf(format, args...)) }

func (y *why) ago(at time.Time) string { return journal.Exactly(y.now.Sub(at)).String() }

func (y *why) because() string {
	r := y.s.Reason.String()
	if y.s.About != "" {
		r += " (" + y.s.About + ")"
	}
	return r
}

func (y *why) leads() {
	s := y.s
	switch {
	case s.Reason == election.ReasonHanding:
		y.say("%s holds, and is handing over to %s: it lets go when that one holds, and goes on if it does not within %v.", s.Node, s.About, y.p.Handover)
	case s.Hold && !s.Holds && !s.Quiet:
		y.say("%s claims, term %d, because %s; the VIP is not up here yet, for %s.", s.Node, s.Term, y.because(), y.ago(s.Since))
	case s.Quiet:
		y.say("%s has the VIP up and is silent on ARP and ND, in the middle of a handover: %s.", s.Node, y.because())
	default:
		y.say("%s leads for %s, term %d. It claimed because: %s. A leader stays as long as nothing speaks against it.", s.Node, y.ago(s.Since), s.Term, y.because())
	}
	y.say("It would let go if its link went down, if it became unfit, if it did nothing for %v, if a peer that hears others did not hear it, if it met a better holder, or for a handover.", y.p.Failover)
	if heirs := y.heirs(); heirs != "" {
		y.say("If it failed, %s would take over: at once if its process died, after %v of silence otherwise.", heirs, y.p.Failover)
	} else {
		y.say("If it failed, nobody would take over: no peer is heard and fit.")
	}
}

func (y *why) heirs() string {
	var names []string
	for _, q := range y.s.Peers {
		if q.State == PeerAlive && q.Fit && !q.Leaving {
			names = append(names, q.Name)
		}
	}
	return strings.Join(names, " or ")
}

// stays is for a node that does not hold: the reason decides what there is to say.
func (y *why) stays() {
	s, f := y.s, y.p.Failover
	name := s.Node
	switch s.Reason {
	case election.ReasonPeerHolds:
		y.standby()
	case election.ReasonLinkDown:
		y.say("%s may not lead: its link is down (%s). It stands for election again when that is over.", name, s.Link)
	case election.ReasonUnfit:
		y.say("%s may not lead: %s. It stands for election again when that is over.", name, orWords(s.Fitness.Why, "it is unfit"))
	case election.ReasonSettling:
		y.say("%s has just started and listens, for %v in all, so that it does not claim beside a leader that it has not heard yet.", name, y.p.Settle)
	case election.ReasonLeaving:
		y.say("%s is stopping and will not claim.", name)
	case election.ReasonDeaf:
		y.say("%s does not claim although nobody is heard to hold: it hears nobody else on its link either, so the silence is more likely its own.", name)
	case election.ReasonPathBroken:
		y.say("%s does not claim although the leader has been silent for longer than %v: it answers for the VIP on the wire, so it lives, and only the path between the nodes is broken.", name, f)
	case election.ReasonForeignWait:
		y.say("%s does not claim yet: somebody who is no peer answers for the VIP. If that lasts longer than %v, longer than a dead leader's address can, it claims.", name, y.p.ForeignWait)
	case election.ReasonInUse:
		y.say("%s does not claim: somebody answers for the VIP who may be a peer that was never heard since the start. Let beats pass between the nodes, or free the address.", name)
	case election.ReasonLate:
		y.say("%s let go because it did nothing for longer than %v: others may have claimed meanwhile. It looks at the wire first, and then stands for election again.", name, f)
	case election.ReasonUnheard:
		y.say("%s leaves the VIP to %s, which does not hear it, hears others, and so is about to claim.", name, s.About)
	case election.ReasonBetter:
		y.say("Nobody holds, and %s leaves the claim to %s, which is better; it claims itself if that one does not.", name, s.About)
	case election.ReasonMaintenance:
		y.say("%s does not hold because %s. `tandem maintenance off` lets it lead again.", name, y.because())
	default:
		y.say("%s does not hold because %s.", name, y.because())
	}
}

func (y *why) standby() {
	s, f := y.s, y.p.Failover
	for _, q := range s.Peers {
		if q.Name != s.About {
			continue
		}
		since := ""
		if !q.HeldSince.IsZero() {
			since = ", for " + y.ago(q.HeldSince)
		}
		y.say("%s is standby because %s leads%s: its last beat came %s ago, term %d.", s.Node, q.Name, since, y.ago(q.HeardAt), q.Term)
	}
	y.say("It would take over at once if %s's process died, said goodbye, let go or ordered it; and after %v of silence, if nobody answered for the VIP on the wire and others on the link were heard.", s.About, f)
	if !y.p.Preempt {
		y.say("As long as %s is well nothing moves, whatever the priorities: preempt is off.", s.About)
	}
}

func (y *why) self() {
	s := y.s
	is := []string{"link up", "fit"}
	if s.Link != "" {
		is[0] = "link down: " + s.Link
	}
	if !s.Fitness.Fit {
		is[1] = "unfit"
	}
	if u := s.Fitness.Rank + s.Fitness.Reach; u > 0 {
		is = append(is, fmt.Sprintf("unfitness %d", u))
	}
	if s.Fitness.Why != "" {
		is = append(is, s.Fitness.Why)
	}
	if !s.Settled {
		is = append(is, "settling")
	}
	y.say("%s: %s, priority %d, term %d.", s.Node, strings.Join(is, ", "), y.p.Priority, s.Term)
	if q := s.Quorum; q.Voters > 0 {
		var votes []string
		for _, v := range q.Votes {
			votes = append(votes, v.Voter+" for "+orWords(v.To, "nobody"))
		}
		y.say("Votes: %s; of %d voters %d are in touch, and %d must agree.", strings.Join(votes, ", "), q.Voters, q.Heard, q.Voters/2+1)
	}
}

func (y *why) peer(q PeerStatus) {
	inputs := peerInputs()
	is := strings.Join(words(inputs, mask(inputs, q.now)), ", ")
	if !q.HeardAt.IsZero() {
		is += ", last beat " + y.ago(q.HeardAt) + " ago"
	}
	if u := q.Rank + q.Reach; u > 0 {
		is += fmt.Sprintf(", unfitness %d", u)
	}
	y.say("%s: %s, priority %d, term %d.", q.Name, is, q.Priority, q.Term)
}

func orWords(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
