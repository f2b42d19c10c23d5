package sim

import (
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

// The neighbour cache of a client, after Linux: arp_process (net/ipv4/arp.c), neigh_update, neigh_timer_handler and neigh_event_send
// (net/core/neighbour.c). The numbers are the defaults of net.ipv4.neigh.default.
const (
	lockTime     = time.Second      // locktime
	delayFirst   = 5 * time.Second  // delay_first_probe_time
	retransTime  = time.Second      // retrans_time_ms
	reachable    = 30 * time.Second // base_reachable_time_ms; each entry gets a half to three halves of it
	solicitTimes = 3                // ucast_solicit, mcast_solicit
)

// nud is the state of an entry (NUD_*).
type nud uint8

const (
	none nud = iota // no entry, or NUD_FAILED
	incomplete
	reach
	stale
	delay
	probe
)

func (s nud) String() string {
	return [...]string{"none", "incomplete", "reachable", "stale", "delay", "probe"}[s]
}

func (s nud) valid() bool { return s >= reach }

// entry is what a client knows of one address. It is pure: it is told what happened and when, and says what to send.
type entry struct {
	state     nud
	mac       announce.MAC
	updated   time.Time
	confirmed time.Time
	used      time.Time
	due       time.Time // of the timer; zero: none
	probes    int
	reachable time.Duration
}

// arpIn is an ARP packet about the address, as it arrives.
type arpIn struct {
	mac        announce.MAC
	reply      bool
	gratuitous bool // sender and target address are equal, and in a reply the hardware addresses too
	toMe       bool // by the Ethernet destination (PACKET_HOST)
}

// learn is the end of arp_process. Linux does not make an entry for an address that it has none for (arp_accept is 0).
func (e *entry) learn(p arpIn, now time.Time) {
	if e.state == none {
		return
	}
	override := now.After(e.updated.Add(lockTime)) || p.gratuitous
	to := reach
	if !p.reply || !p.toMe {
		to = stale
	}
	e.update(p.mac, to, override, now)
}

// update is neigh_update.
func (e *entry) update(mac announce.MAC, to nud, override bool, now time.Time) {
	was, other := e.state, mac != e.mac
	if to == reach {
		e.confirmed = now
	}
	if was.valid() {
		switch {
		case other && !override:
			return
		case !other && to == stale:
			to = was
		}
	}
	if to != was || other || !was.valid() {
		e.updated = now
	}
	if other {
		e.mac = mac
		if to != reach {
			e.confirmed = now.Add(-2 * reachable)
		}
	}
	if to == was {
		return
	}
	e.state, e.due, e.probes = to, time.Time{}, 0
	if to == reach {
		e.due = now.Add(e.reachable)
	}
}

// confirm is what an answer of the other side does (neigh_confirm).
func (e *entry) confirm(now time.Time) {
	if e.state.valid() {
		e.confirmed = now
	}
}

// use is neigh_event_send: a packet goes out. ask says that the address must be asked for.
func (e *entry) use(now time.Time) (ask bool) {
	e.used = now
	switch e.state {
	case none:
		e.state, e.updated, e.probes, e.due = incomplete, now, 1, now.Add(retransTime)
		return true
	case stale:
		e.state, e.updated, e.due = delay, now, now.Add(delayFirst)
	case incomplete, reach, delay, probe:
	}
	return false
}

// tick is neigh_timer_handler. ask says that a question is due: to everybody while incomplete, else to e.mac.
func (e *entry) tick(now time.Time) (ask bool) {
	if e.due.IsZero() || now.Before(e.due) {
		return false
	}
	switch e.state {
	case reach:
		switch {
		case !now.After(e.confirmed.Add(e.reachable)):
			e.due = e.confirmed.Add(e.reachable + time.Millisecond)
		case !now.After(e.used.Add(delayFirst)):
			e.state, e.updated, e.due = delay, now, now.Add(delayFirst)
		default:
			e.state, e.updated, e.due = stale, now, time.Time{}
		}
		return false
	case delay:
		if !now.After(e.confirmed.Add(delayFirst)) {
			e.state, e.updated, e.due = reach, now, e.confirmed.Add(e.reachable)
			return false
		}
		e.state, e.updated, e.probes = probe, now, 0
	case incomplete, probe:
	case none, stale:
		e.due = time.Time{}
		return false
	}
	if e.probes >= solicitTimes {
		e.state, e.updated, e.due = none, now, time.Time{}
		return false
	}
	e.probes++
	e.due = now.Add(retransTime)
	return true
}
