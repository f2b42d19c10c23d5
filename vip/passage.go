package vip

import (
	"net"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// passTime bounds how long connections are passed on to the old leader: a handover takes 200 ms at most, and the old leader serves for 250 ms after it.
const passTime = time.Second

// paveRetry is how long after it was tried a passage is prepared again, of which something is missing: somebody may have flushed all rules.
const paveRetry = 10 * time.Second

// hops is where a claim that follows a living leader passes that one's connections on.
func (l *loop) hops() []fence.Hop {
	k := l.k
	if l.wish.After == "" || k.lease.gate == nil {
		return nil
	}
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	to := k.in.macs[l.wish.After]
	if len(to) < len(l.segs) {
		return nil
	}
	var nodes []net.HardwareAddr
	for _, macs := range k.in.macs {
		nodes = append(nodes, macs...)
	}
	var hops []fence.Hop
	for n, s := range l.segs {
		if s.fact.Index == 0 || len(s.fact.MAC) != len(to[n]) {
			return nil
		}
		h := fence.Hop{Device: s.Interface, Index: s.fact.Index, Own: s.fact.MAC, To: to[n], Excepted: nodes}
		for _, p := range s.Addresses {
			h.VIPs = append(h.VIPs, p.Addr())
		}
		hops = append(hops, h)
	}
	l.passing = l.wish.After
	return hops
}

// passNoMore ends the passage when the wish no longer asks for it.
func (l *loop) passNoMore() {
	if l.passing == "" || l.busy || l.wish.Hold && l.wish.After == l.passing {
		return
	}
	l.passing = ""
	l.give(unpass, nil)
}

// pave has the kernel prepared for a passage, long before it is needed: it may take long, and is never done by a node that holds or is about to.
func (l *loop) pave(now time.Time) {
	k := l.k
	mode, _, _, _ := k.lease.view()
	if k.lease.gate == nil || l.busy || l.wish.Hold || l.wish.Check || passes(mode) || now.Before(l.paveAt) {
		return
	}
	var links []int
	var hops []fence.Hop
	for _, s := range l.segs {
		if s.fact.Index == 0 {
			return
		}
		h := fence.Hop{Device: s.Interface, Index: s.fact.Index}
		for _, p := range s.Addresses {
			h.VIPs = append(h.VIPs, p.Addr())
		}
		links, hops = append(links, s.fact.Index), append(hops, h)
	}
	if slices.Equal(links, l.paved) {
		return
	}
	l.paved, l.paveAt, l.busy = links, now.Add(paveRetry), true
	l.jobs <- job{do: pave, hops: hops}
}

// passed takes the result of a job that prepared, began or ended a passage. Without one, what was open at the old leader is reset: no reason not to hold, and
// none to say that the wish is not the fact.
func (l *loop) passed(d done) {
	err := d.err
	if d.do == add {
		if len(d.hops) == 0 {
			return
		}
		err = d.passErr
	}
	if err == nil {
		l.passErr = ""
		return
	}
	l.paved = nil // once more, when there is time
	if l.passErr != err.Error() {
		l.k.log.Warn("could not pass the old leader's connections on", "err", err)
	}
	l.passErr = err.Error()
}
