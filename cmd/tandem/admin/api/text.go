package api

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// WriteText writes s for people: who leads, since when and why on the first line, then what is wrong, then tables.
// now is the reader's clock; times are in its zone. What came from other hosts is made harmless to terminals.
func WriteText(w io.Writer, s Status, now time.Time) error {
	b := bufio.NewWriter(w)
	t := &text{Writer: b, s: s, now: now}
	t.line(headline(s, now))
	if s.Doing != "" {
		t.line(s.Doing)
	}
	for _, a := range alarms(s) {
		t.line("warning: " + a)
	}
	t.line("")
	t.line(fmt.Sprintf("node %s: %s%s, up %s, term %d, priority %d, gate: %s",
		s.Node, s.State, rank(s.Rank+s.Reach), age(now.Sub(s.Started)), s.Term, s.Priority, orDash(s.Gate)))
	t.line("mode: " + mode(s.Quorum))
	t.line("version " + s.Version + ", pid " + fmt.Sprint(s.PID) + ", boot " + s.Boot)
	t.vips()
	t.peers()
	t.paths()
	t.listeners()
	t.pools()
	t.tracked()
	t.failovers()
	return b.Flush()
}

// mode says by what rules the VIP is held: in quorum mode, who has whose vote.
func mode(q *Quorum) string {
	if q == nil {
		return "pair"
	}
	var order []string
	voters := map[string][]string{}
	for _, v := range q.Votes {
		if voters[v.To] == nil {
			order = append(order, v.To)
		}
		voters[v.To] = append(voters[v.To], v.Voter)
	}
	text := fmt.Sprintf("quorum, %d of %d voters needed, %d in touch", q.Majority, q.Voters, q.Heard)
	for _, to := range order {
		has := "; nobody has the vote of "
		if to != "" {
			has = "; " + to + " has the votes of "
		}
		text += has + strings.Join(voters[to], ", ")
	}
	return text
}

// headline answers the question that somebody who was woken has.
func headline(s Status, now time.Time) string {
	state := string(s.State)
	if s.State == InMaintenance {
		state = "in maintenance"
	}
	self := fmt.Sprintf("is %s since %s: %s", state, moment(s.Since, now), s.Reason)
	since := ""
	if s.ByHand || slices.ContainsFunc(s.Peers, func(p Peer) bool { return p.Name == s.Leader && p.ByHand }) {
		since = " (set by hand)"
	}
	if !s.LeaderSince.IsZero() {
		since += " since " + moment(s.LeaderSince, now)
	}
	switch {
	case s.Leader == s.Node && s.Leader != "":
		verb := "leads"
		if s.State == Handing || s.State == Leaving {
			verb = fmt.Sprintf("(%s) still leads,", s.State)
		}
		if s.State == Leader {
			return fmt.Sprintf("%s leads%s. It claimed because: %s", s.Node, since, s.Reason)
		}
		return fmt.Sprintf("%s %s%s: %s", s.Node, verb, since, s.Reason)
	case s.Leader != "":
		return fmt.Sprintf("%s leads%s. This node, %s, %s", s.Leader, since, s.Node, self)
	}
	return fmt.Sprintf("NOBODY LEADS, as far as this node knows. %s %s", s.Node, self)
}

// alarms are what a reader must not have to find in the tables, and the daemon's own warnings.
func alarms(s Status) []string {
	var out []string
	holders := 0
	var names []string
	if s.Leader == s.Node && s.Leader != "" {
		holders++
		names = append(names, s.Node)
	}
	for _, p := range s.Peers {
		if p.Holds && p.State == PeerAlive {
			holders++
			names = append(names, p.Name)
		}
	}
	if holders > 1 && s.State != Handing {
		out = append(out, strings.Join(names, " and ")+" say that they hold the VIP at the same time")
	}
	for _, v := range s.VIPs {
		if v.Problem != "" {
			out = append(out, fmt.Sprintf("VIP %s on %s: %s", v.Address, v.Interface, v.Problem))
		}
	}
	for _, l := range s.Listeners {
		if !l.Open {
			out = append(out, fmt.Sprintf("listener %s on %s is not open: %s", l.Name, l.Bind, orDash(l.Error)))
		}
	}
	for _, p := range s.Pools {
		if down(p) == len(p.Backends) {
			out = append(out, fmt.Sprintf("pool %s has no backend up", p.Name))
		}
		if p.Forced {
			out = append(out, fmt.Sprintf("pool %s: too few backends are up to be true, traffic goes to those that are down (panic, keep_at_least)", p.Name))
		}
		if p.Waiting > 0 {
			out = append(out, fmt.Sprintf("pool %s: %d clients wait, for all backends have max_conns connections", p.Name, p.Waiting))
		}
	}
	return append(out, s.Warnings...)
}

func down(p Pool) int {
	n := 0
	for _, b := range p.Backends {
		if b.State == Down {
			n++
		}
	}
	return n
}

// text writes lines that came from anywhere; the first error stays in the buffered writer.
type text struct {
	*bufio.Writer
	s   Status
	now time.Time
}

func (t *text) line(s string) {
	_, _ = t.WriteString(clean(s) + "\n")
}

// table writes a heading and rows, aligned; nothing if there are no rows.
func (t *text) table(title string, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	t.line("")
	t.line(title)
	var out strings.Builder
	tw := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i := range row {
			row[i] = orDash(clean(row[i]))
		}
		_, _ = fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
	}
	_ = tw.Flush()
	for l := range strings.Lines(out.String()) {
		_, _ = t.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
}

// clean makes text fit for one line of a terminal: names and reasons come from other hosts, too.
func clean(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\n", "; ") // joined errors have lines
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func rank(r int) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf(" (unfitness %d)", r)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
