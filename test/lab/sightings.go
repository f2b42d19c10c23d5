package lab

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Span is how often and for how long something lasted: the longest stretch, all of them together, and their number.
type Span struct {
	Longest, Total time.Duration
	Count          int
}

func (s *Span) add(d time.Duration) {
	s.Longest = max(s.Longest, d)
	s.Total += d
	s.Count++
}

// Change is the moment from which on another set of hosts answered.
type Change struct {
	At  time.Time
	Who []string // names of hosts, sorted; a stranger's MAC; empty: nobody
}

func (c Change) String() string {
	if len(c.Who) == 0 {
		return "nobody"
	}
	return strings.Join(c.Who, "+")
}

// View is what an observer saw over a stretch of time. Its resolution is the interval of the questions.
type View struct {
	Changes []Change // the first one is the state at the beginning
	// Dual is the time in which two or more answered the same question; None the time in which nobody did.
	Dual, None Span
}

// Holders lists everybody who answered, in the order of their first appearance.
func (v View) Holders() []string {
	var list []string
	for _, c := range v.Changes {
		for _, w := range c.Who {
			if !slices.Contains(list, w) {
				list = append(list, w)
			}
		}
	}
	return list
}

func (v View) String() string {
	var b strings.Builder
	for i, c := range v.Changes {
		if i > 0 {
			fmt.Fprintf(&b, ", +%v ", c.At.Sub(v.Changes[0].At).Round(time.Millisecond))
		}
		b.WriteString(c.String())
	}
	fmt.Fprintf(&b, "; dual %v in %d, nobody %v at most", v.Dual.Total.Round(time.Millisecond), v.Dual.Count, v.None.Longest.Round(time.Millisecond))
	return b.String()
}

// View sums up the questions put in [from, to). The last question counts only when the next one has been put.
func (o *Observer) View(from, to time.Time) View {
	o.mu.Lock()
	defer o.mu.Unlock()
	var v View
	var since time.Time // of the state that lasts
	var who uint64
	end := func(at time.Time) {
		switch {
		case since.IsZero():
		case who == 0:
			v.None.add(at.Sub(since))
		case bits.OnesCount64(who) > 1:
			v.Dual.add(at.Sub(since))
		}
	}
	var last time.Time
	for i, q := range o.questions {
		if q.at.Before(from) {
			continue
		}
		last = q.at
		if i == len(o.questions)-1 || !q.at.Before(to) {
			break
		}
		if since.IsZero() || q.who != who {
			end(q.at)
			since, who = q.at, q.who
			v.Changes = append(v.Changes, Change{At: q.at, Who: o.names(who)})
		}
	}
	end(last)
	return v
}

// Announcements lists the announcements seen in [from, to).
func (o *Observer) Announcements(from, to time.Time) []Announcement {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Announcement
	for _, a := range o.announced {
		if !a.At.Before(from) && a.At.Before(to) {
			list = append(list, a)
		}
	}
	return list
}

// Now says who answered the last question whose time for answers is over.
func (o *Observer) Now() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now()
}

func (o *Observer) now() []string {
	if len(o.questions) < 2 {
		return nil
	}
	return o.names(o.questions[len(o.questions)-2].who)
}

// Wait waits until those who answer are as ok wants, and returns them. It does not poll: it wakes up when the answers change.
func (o *Observer) Wait(ctx context.Context, ok func(who []string) bool) ([]string, error) {
	for {
		o.mu.Lock()
		who, changed := o.now(), o.changed
		o.mu.Unlock()
		if ok(who) {
			return who, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return who, fmt.Errorf("%s is answered for by %v: %w", o.vip, who, ctx.Err())
		case <-o.done:
			return who, errEnded
		}
	}
}

// Forget drops what was seen before t, for long runs.
func (o *Observer) Forget(t time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(o.questions, func(q question) bool { return !q.at.Before(t) }); i > 0 {
		o.questions = slices.Clone(o.questions[max(0, min(i, len(o.questions)-2)):])
	}
	o.announced = slices.DeleteFunc(o.announced, func(a Announcement) bool { return a.At.Before(t) })
}
