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
	// interval of the client itself. A gap in which the report begins or ends counts as far as there were attempts.
	Blackout, ByEnds time.Duration
	At               time.Time     // when the blackout began
	Slowest          time.Duration // the slowest success
	Late             time.Duration // the client's own worst lateness: no blackout below it means anything
	Last             time.Time     // start of the last success; zero: none at all
}

// Sum reports on attempts in the order of their starts.
func Sum(attempts []Attempt) Report {
	r := Report{Attempts: len(attempts), Outcomes: map[Outcome]int{}}
	if len(attempts) == 0 {
		return r
	}
	first, last := attempts[0].Start, attempts[len(attempts)-1].Start
	starts, ends := []time.Time{first}, []time.Time{first}
	for _, a := range attempts {
		r.Outcomes[a.Outcome]++
		if a.Outcome != OK {
			r.Failed++
			continue
		}
		starts, ends = append(starts, a.Start), append(ends, a.End)
		r.Last = a.Start
		r.Slowest = max(r.Slowest, a.End.Sub(a.Start))
	}
	slices.SortFunc(ends, time.Time.Compare)
	r.Blackout, r.At = gap(append(starts, last))
	r.ByEnds, _ = gap(append(ends, slices.MaxFunc([]time.Time{last, ends[len(ends)-1]}, time.Time.Compare)))
	return r
}

// gap finds the largest distance between neighbours, and where it begins.
func gap(times []time.Time) (largest time.Duration, at time.Time) {
	for i := 1; i < len(times); i++ {
		if d := times[i].Sub(times[i-1]); d > largest {
			largest, at = d, times[i-1]
		}
	}
	return largest, at
}

func (r Report) String() string {
	return fmt.Sprintf("%d attempts, %d failed %v, blackout %v (by ends %v), slowest %v, client late by %v at most",
		r.Attempts, r.Failed, r.Failures(), r.Blackout.Round(time.Millisecond/10), r.ByEnds.Round(time.Millisecond/10),
		r.Slowest.Round(time.Millisecond/10), r.Late.Round(time.Millisecond/10))
}

// Failures counts the failed attempts by what became of them.
func (r Report) Failures() map[string]int {
	m := map[string]int{}
	for o, n := range r.Outcomes {
		if o != OK {
			m[o.String()] = n
		}
	}
	return m
}
