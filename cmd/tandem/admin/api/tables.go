package api

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

func (t *text) vips() {
	var rows [][]string
	for _, v := range t.s.VIPs {
		held := "no"
		if v.Held {
			held = "here"
		}
		rows = append(rows, []string{v.Address, v.Interface, held, moment(v.Since, t.now)})
	}
	t.table("VIP", []string{"ADDRESS", "LINK", "HELD", "SINCE"}, rows)
}

func (t *text) peers() {
	var rows [][]string
	for _, p := range t.s.Peers {
		config := "same"
		if p.ConfigDiffers {
			config = "DIFFERS"
		}
		hears, holds, fit := yes(p.HearsUs), yes(p.Holds), yes(p.Fit)+rank(p.Rank)
		if p.Maintenance {
			fit = "maintenance"
		}
		priority, term := strconv.Itoa(p.Priority), strconv.FormatUint(p.Term, 10)
		if p.State != PeerAlive { // what it last said is not what is
			hears, holds, fit = "", "", ""
		}
		if p.State == PeerUnknown {
			priority, term, config = "", "", ""
		}
		row := []string{p.Name, p.Address, string(p.State), heard(p.LastHeardMS), hears, holds, fit, priority, term, config, p.Version}
		rows = append(rows, row)
	}
	t.table("PEERS", []string{"NAME", "ADDRESS", "STATE", "HEARD", "HEARS US", "HOLDS", "FIT", "PRIORITY", "TERM", "CONFIG", "VERSION"}, rows)
}

func (t *text) paths() {
	var rows [][]string
	for _, p := range t.s.Peers {
		for _, w := range p.Paths {
			state := "works"
			if w.Broken {
				state = "BROKEN"
			}
			rows = append(rows, []string{p.Name, w.Bind, w.Address, state, heard(w.HeardMS), heard(w.HeardByPeerMS)})
		}
		if p.MirroredMS >= 0 && p.MirroredMS < 60_000 {
			rows = append(rows, []string{p.Name, "mirrors", "", "", heard(p.MirroredMS), ""})
		}
	}
	t.table("PATHS", []string{"PEER", "FROM", "TO", "STATE", "HEARD", "HEARD BY PEER"}, rows)
}

func (t *text) listeners() {
	var rows [][]string
	for _, l := range t.s.Listeners {
		state := "open"
		if !l.Open {
			state = "CLOSED"
		}
		rows = append(rows, []string{l.Name, l.Bind, l.Protocol, l.Pool, state, strconv.FormatInt(l.Active, 10), strconv.FormatUint(l.Accepted, 10)})
	}
	t.table("LISTENERS", []string{"NAME", "BIND", "PROTOCOL", "POOL", "STATE", "ACTIVE", "ACCEPTED"}, rows)
}

func (t *text) pools() {
	var rows [][]string
	for _, p := range t.s.Pools {
		for _, b := range p.Backends {
			state := string(b.State)
			if b.State == Down {
				state = "DOWN"
			}
			if b.Backup {
				state += ", backup"
			}
			if b.ByHand != nil {
				state += ", " + b.ByHand.String()
			}
			if b.Ejected {
				state += ", EJECTED"
			}
			rows = append(rows, []string{p.Name, b.Name, b.Address, state, moment(b.Since, t.now), strconv.FormatInt(b.Active, 10), b.Reason})
		}
	}
	t.table("POOLS", []string{"POOL", "BACKEND", "ADDRESS", "STATE", "SINCE", "ACTIVE", "LAST PROBE"}, rows)
}

func (t *text) tracked() {
	var rows [][]string
	for _, x := range t.s.Tracked {
		state, weight := string(x.State), strconv.Itoa(x.Weight)
		if x.State == Failing {
			state = "FAILING"
		}
		if x.Absolute {
			weight = "ABSOLUTE"
		}
		rows = append(rows, []string{x.Kind, x.Name, state, moment(x.Since, t.now), weight, x.Reason})
	}
	t.table("TRACKED", []string{"KIND", "NAME", "STATE", "SINCE", "WEIGHT", "LAST CHECK"}, rows)
}

func (t *text) failovers() {
	var rows [][]string
	for _, f := range t.s.Failovers {
		rows = append(rows, []string{moment(f.At, t.now), string(f.Kind), f.From, f.To, took(f.TookMS), f.Nobody.String(), f.Dual.String(), strconv.FormatUint(f.Term, 10), cmp.Or(f.Cause, f.Why)})
	}
	t.table("MOVES OF THE VIP, newest first", []string{"WHEN", "KIND", "FROM", "TO", "TOOK", "NOBODY", "DUAL", "TERM", "WHY"}, rows)
}

// heard says how long ago a peer was heard.
func heard(ms float64) string {
	if ms < 0 {
		return "never"
	}
	return took(ms) + " ago"
}

// took writes milliseconds as precisely as they matter.
func took(ms float64) string {
	switch {
	case ms < 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0fms", ms)
	case ms < 1e12:
		return age(time.Duration(ms * float64(time.Millisecond)))
	}
	return "long"
}

// moment writes a time of day, the date if it is not today's, and how long ago it was.
func moment(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	at = at.In(now.Location())
	layout := "15:04:05"
	if at.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = time.DateTime
	}
	return fmt.Sprintf("%s (%s ago)", at.Format(layout), age(now.Sub(at)))
}

// age writes a duration in its two largest units.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}
