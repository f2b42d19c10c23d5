package api

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
)

// WriteExplanation writes e for people: why the node is what it is; or, if a time was asked about, its moves, each in a sentence, and then all that was
// noticed and decided, with the inputs. now is the reader's clock; times are in its zone.
func WriteExplanation(w io.Writer, e Explanation, now time.Time) error {
	b := bufio.NewWriter(w)
	t := &teller{text: text{Writer: b, now: now}, e: e}
	if e.From.IsZero() {
		for _, s := range e.Now {
			t.line(s)
		}
		return b.Flush()
	}
	t.story()
	return b.Flush()
}

// teller tells the story of a stretch of time.
type teller struct {
	text
	e    Explanation
	boot string            // of the entry before
	last *journal.Decision // before
}

func (t *teller) story() {
	t.line(fmt.Sprintf("%s, from %s to %s", t.e.Node, t.clock(t.e.From), t.clock(t.e.To)))
	for _, e := range t.e.Entries {
		if e.Move != nil {
			t.line("")
			t.line(t.clock(e.Move.At) + " " + sentence(e.Move))
		}
	}
	t.line("")
	if b := t.e.Before; b != nil {
		t.line(fmt.Sprintf("in force since %s: %s", t.clock(b.At), decided(b.Decision)))
		t.inputs(b.Decision.Inputs)
		t.boot, t.last = b.Boot, b.Decision
	}
	if len(t.e.Entries) == 0 {
		t.line("nothing was noticed or decided in that time")
	}
	for _, e := range t.e.Entries {
		t.entry(e)
	}
}

func (t *teller) entry(e journal.Entry) {
	if t.boot != "" && e.Boot != t.boot {
		t.line("-- the daemon was started again --")
		t.last = nil
	}
	t.boot = e.Boot
	what := ""
	switch {
	case e.Decision != nil:
		what = decided(e.Decision)
		if t.last != nil && decided(t.last) == what {
			what = "decided the same from other inputs"
		}
		t.last = e.Decision
	case e.Event != nil:
		what = e.Event.Text
	case e.Move != nil:
		what = string(e.Move.Kind) + ", as told above"
	}
	if e.Count > 0 {
		what += fmt.Sprintf(" (and %d times more until %s)", e.Count, t.clock(e.Last))
	}
	t.line(t.clock(e.At) + " " + what)
	if e.Decision != nil {
		t.inputs(e.Decision.Inputs)
	}
}

// inputs are indented below their decision.
func (t *teller) inputs(in journal.Inputs) {
	t.line("    " + in.Self.Name + ": " + who(in.Self))
	for _, p := range in.Peers {
		t.line("    " + p.Name + ": " + who(p))
	}
	if len(in.Wire) > 0 {
		t.line("    on the wire: " + strings.Join(in.Wire, ", "))
	}
}

func who(w journal.Who) string {
	s := strings.Join(w.Is, ", ")
	if w.HeardMS >= 0 {
		s += ", last beat " + took(w.HeardMS) + " before"
	}
	if w.Rank > 0 {
		s += fmt.Sprintf(", unfitness %d", w.Rank)
	}
	return s + fmt.Sprintf(", term %d", w.Term)
}

func decided(d *journal.Decision) string {
	s := "decided not to hold"
	if d.Hold {
		s = fmt.Sprintf("decided to hold, term %d", d.Term)
	}
	s += ", because " + d.Why
	if d.About != "" {
		s += " (" + d.About + ")"
	}
	if d.HandTo != "" {
		s += "; " + d.HandTo + " is to take over"
	}
	return s
}

// sentence is the account of a move.
func sentence(m *journal.Move) string {
	from := ""
	if m.From != "" {
		from = " from " + m.From
	}
	var steps []string
	for _, s := range m.Steps {
		steps = append(steps, s.Name+" "+s.Took.String())
	}
	return fmt.Sprintf("%s%s to %s, term %d: %s. Noticed: %s. Took %s (%s). No process served: %s; no kernel answered: %s; two answered: %s.",
		m.Kind, from, m.To, m.Term, m.Cause, m.Noticed, m.Took, strings.Join(steps, ", "), m.Blackout, m.Nobody, m.Dual)
}

// clock writes a moment to the millisecond, and its date if that is not the reader's.
func (t *teller) clock(at time.Time) string {
	at = at.In(t.now.Location())
	if at.Format(time.DateOnly) == t.now.Format(time.DateOnly) {
		return at.Format("15:04:05.000")
	}
	return at.Format("2006-01-02 15:04:05.000")
}
