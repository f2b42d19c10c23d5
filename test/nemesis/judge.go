package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// sum is what was seen of an episode.
type sum struct {
	cost   cost // what it may cost
	took   time.Duration
	report lab.Report
	view   lab.View
}

// verdict lists what was worse than it may be. A client that was late itself is allowed for.
func (s sum) verdict() []string {
	var bad []string
	late := 2 * s.report.Late
	if s.cost.blackout != unlimited && s.report.Blackout > s.cost.blackout+late {
		bad = append(bad, fmt.Sprintf("the client got no answer for %v, at most %v is allowed", s.report.Blackout.Round(msec), s.cost.blackout))
	}
	if s.view.Dual.Total > s.cost.dual+late {
		bad = append(bad, fmt.Sprintf("two answered for %v, at most %v is allowed", s.view.Dual.Total.Round(msec), s.cost.dual))
	}
	return bad
}

// totals sum up a whole run.
type totals struct {
	attempts, failed int
	dual             time.Duration
	kinds            map[string]*total
}

// total is that of one kind, in the episodes that it had for itself.
type total struct {
	episodes, alone int
	blackout, dual  time.Duration // the worst
	failed          int
}

func (t *totals) add(e episode, s sum) {
	t.attempts += s.report.Attempts
	t.failed += s.report.Failed
	t.dual += s.view.Dual.Total
	for _, a := range e.acts {
		k := t.kinds[a.kind.name]
		if k == nil {
			k = &total{}
			t.kinds[a.kind.name] = k
		}
		k.episodes++
		if len(e.acts) > 1 {
			continue
		}
		k.alone++
		k.blackout, k.dual = max(k.blackout, s.report.Blackout), max(k.dual, s.view.Dual.Total)
		k.failed += s.report.Failed
	}
}

func (t *totals) print(w io.Writer, lasted time.Duration) {
	tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nfault\tepisodes\talone\tworst blackout\tworst dual\tfailed")
	for _, name := range slices.Sorted(maps.Keys(t.kinds)) {
		k := t.kinds[name]
		fmt.Fprintf(tw, "%s\t%d\t%d\t%v\t%v\t%d\n", name, k.episodes, k.alone, k.blackout.Round(msec), k.dual.Round(msec), k.failed)
	}
	_ = tw.Flush()
	fmt.Fprintf(w, "\navailability %.3f %%: %d of %d requests answered, in %v of faults without end; two answered for %v in all\n",
		100*float64(t.attempts-t.failed)/float64(max(t.attempts, 1)), t.attempts-t.failed, t.attempts, lasted.Round(time.Second), t.dual.Round(msec))
}
