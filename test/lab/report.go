package lab

import (
	"fmt"
	"slices"
	"time"
)

// Report is what a client saw over a stretch of time.
type Report struct {
	Attempts int
	Failed   int
	Outcomes map[Outcome]int
	// Blackout is the largest gap between the starts of consecutive successes; ByEnds the same between their ends. Both include the
	// interval of the client itself.
	Blackout, ByEnds time.Duration
	At               time.Time     // when the blackout began
	Slowest          time.Duration // the slowest success
	Late             time.Duration // the client's own worst lateness: no blackout below it means anything
	Last             time.Time     // start of the last success; zero: none at all
}

// Sum reports on attempts in the order of their starts.
func Sum(attempts []Attempt) Report {
	r := Report{Attempts: len(attempts), Outcomes: map[Outcome]int{}}
	var ends []time.Time
	for _, a := range attempts {
		r.Outcomes[a.Outcome]++
		if a.Outcome != OK {
			r.Failed++
			continue
		}
		if gap := a.Start.Sub(r.Last); !r.Last.IsZero() && gap > r.Blackout {
			r.Blackout, r.At = gap, r.Last
		}
		r.Last = a.Start
		r.Slowest = max(r.Slowest, a.End.Sub(a.Start))
		ends = append(ends, a.End)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		r.ByEnds = max(r.ByEnds, ends[i].Sub(ends[i-1]))
	}
	return r
}

func (r Report) String() string {
	return fmt.Sprintf("%d attempts, %d failed %v, blackout %v (by ends %v), slowest %v, client late by %v at most",
		r.Attempts, r.Failed, r.failures(), r.Blackout.Round(time.Millisecond/10), r.ByEnds.Round(time.Millisecond/10),
		r.Slowest.Round(time.Millisecond/10), r.Late.Round(time.Millisecond/10))
}

func (r Report) failures() map[string]int {
	m := map[string]int{}
	for o, n := range r.Outcomes {
		if o != OK {
			m[o.String()] = n
		}
	}
	return m
}
