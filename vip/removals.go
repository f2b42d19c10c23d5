package vip

import (
	"strings"
	"time"
)

// Somebody else on the host may remove an address again and again: then another host is the better place for it.
const (
	removalsMany   = 5 // within removalsWithin: a fight, not an accident
	removalsWithin = time.Minute
	removalsOver   = 5 * time.Minute       // without one: the fight is over
	removalsPause  = 20 * time.Millisecond // between putting back, in a fight: so that it cannot fill the segment with announcements
)

// removals counts how often addresses had to be put back.
type removals struct {
	total  int
	recent []time.Time // the newest removalsMany
	until  time.Time   // the fight counts as going on; zero: there is none
	by     string      // who removed one last, as far as the kernel tells
	toldAt time.Time
}

// add counts one, and says whether it begins a fight.
func (r *removals) add(by string, now time.Time) (fight bool) {
	r.total++
	if by != "" {
		r.by = by
	}
	r.recent = append(r.recent, now)
	if n := len(r.recent); n > removalsMany {
		r.recent = r.recent[n-removalsMany:]
	}
	many := len(r.recent) == removalsMany && now.Sub(r.recent[0]) <= removalsWithin
	if !many && r.until.IsZero() {
		return false
	}
	fight = r.until.IsZero()
	r.until = now.Add(removalsOver)
	return fight
}

// over says, once, that the fight is over.
func (r *removals) over(now time.Time) bool {
	if r.until.IsZero() || now.Before(r.until) {
		return false
	}
	r.until, r.recent = time.Time{}, nil
	return true
}

// tell says whether one more is worth a line in the log: all are before a fight, one a minute in it.
func (r *removals) tell(now time.Time) bool {
	if !r.until.IsZero() && now.Sub(r.toldAt) < removalsWithin {
		return false
	}
	r.toldAt = now
	return true
}

// why is what a fight is, in words; empty: there is none.
func (r *removals) why() string {
	if r.until.IsZero() {
		return ""
	}
	who, _, _ := strings.Cut(r.who(), "[") // a script's processes come and go
	return who + " keeps removing the VIP from this host"
}

func (r *removals) who() string {
	if r.by == "" {
		return "somebody"
	}
	return r.by
}

// hint is where to look.
const hint = "systemd-networkd removes foreign addresses unless ManageForeignAddresses=no or KeepConfiguration=yes is set, NetworkManager when it activates a connection (leave the interface unmanaged), DHCP clients and scripts that flush"

// putBack notes addresses that were missing and are there again.
func (l *loop) putBack(d done, now time.Time) {
	for _, x := range d.ok {
		s := l.of(x.p.Addr())
		fight := l.removals.add(s.fact.Remover, now)
		if l.removals.tell(now) {
			s.log.Warn("vip was removed by someone else and put back", "vip", x.p.Addr(), "by", s.fact.Remover, "took", d.took, "count", l.removals.total)
		}
		if fight {
			s.log.Error("somebody keeps removing the vip, another node should hold it", "vip", x.p.Addr(), "by", l.removals.who(), "count", len(l.removals.recent),
				"within", now.Sub(l.removals.recent[0]).Round(time.Millisecond), "hint", hint)
		}
	}
	if len(d.ok) > 0 {
		l.again("put back", now)
	}
	if !l.removals.until.IsZero() {
		l.retryAt = now.Add(removalsPause)
	}
}
