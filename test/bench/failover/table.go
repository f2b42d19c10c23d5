package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// goal is what Tandem must keep to. Zero fields ask for nothing.
type goal struct {
	blackout  time.Duration // median at most
	dual      time.Duration // median at most, if checkDual
	checkDual bool
	unfailed  bool // no failed request in any run
	still     bool // the VIP does not move in any run
	served    bool // no client without service in any run
}

// misses says in which points the runs miss the goal.
func (g goal) misses(runs []result) []string {
	var list []string
	miss := func(missed bool, format string, args ...any) {
		if missed {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	blackout, _ := spread(runs, func(r result) float64 { return r.Blackout })
	dual, _ := spread(runs, func(r result) float64 { return r.Dual })
	_, failed := spread(runs, func(r result) float64 { return float64(r.Failed) })
	_, moved := spread(runs, func(r result) float64 { return float64(r.Moves) })
	_, unserved := spread(runs, func(r result) float64 { return float64(r.Unserved) })
	miss(g.blackout > 0 && blackout > ms(g.blackout), "blackout %.0f ms, at most %v wanted", blackout, g.blackout)
	miss(g.checkDual && dual > ms(g.dual), "dual %.0f ms, at most %v wanted", dual, g.dual)
	miss(g.unfailed && failed > 0, "%.0f requests failed in one run, none wanted", failed)
	miss(g.still && moved > 0, "the VIP moved")
	miss(g.served && unserved > 0, "%.0f clients without service after one heal", unserved)
	return list
}

// spread is the median and the largest of something over runs.
func spread(runs []result, of func(result) float64) (median, largest float64) {
	if len(runs) == 0 {
		return 0, 0
	}
	var values []float64
	for _, r := range runs {
		values = append(values, of(r))
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2, values[n-1]
}

// show prints a table with one block for each fault, and returns how many goals Tandem missed.
func show(w io.Writer, s *store, fs []fault, systems []system) (missed int) {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "fault\tsystem\truns\tblackout ms\tby ends\tfailed\tdual ms\tmoved\tratio\t")
	for _, f := range fs {
		base := 0.0
		for i, sys := range systems {
			runs := s.of(f.name, sys.name)
			if len(runs) == 0 {
				continue
			}
			median, _ := spread(runs, func(r result) float64 { return r.Blackout })
			ratio := "1"
			if i == 0 {
				base = median
			} else {
				ratio = ratioOf(median, base)
			}
			if f.goal.served {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\t\n", f.name, sys.name, len(runs), unserved(runs))
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d of %d\t%s\t\n", f.name, sys.name, len(runs),
				cell(runs, func(r result) float64 { return r.Blackout }), cell(runs, func(r result) float64 { return r.ByEnds }),
				cell(runs, func(r result) float64 { return float64(r.Failed) }), cell(runs, func(r result) float64 { return r.Dual }),
				count(runs, func(r result) bool { return r.Moves > 0 }), len(runs), ratio)
		}
	}
	_ = t.Flush()
	return goals(w, s, fs)
}

// goals prints which goals Tandem met.
func goals(w io.Writer, s *store, fs []fault) (missed int) {
	fmt.Fprintln(w)
	for _, f := range fs {
		runs := s.of(f.name, "tandem")
		if len(runs) == 0 {
			continue
		}
		verdict := "met"
		if list := f.goal.misses(runs); len(list) > 0 {
			missed++
			verdict = "MISSED: " + strings.Join(list, "; ")
		}
		fmt.Fprintf(w, "goal of %-10s  %s: %s\n", f.name, f.what, verdict)
	}
	return missed
}

func cell(runs []result, of func(result) float64) string {
	median, largest := spread(runs, of)
	return fmt.Sprintf("%.0f (%.0f)", median, largest)
}

func count(runs []result, is func(result) bool) (n int) {
	for _, r := range runs {
		if is(r) {
			n++
		}
	}
	return n
}

func unserved(runs []result) string {
	bad, clients, all := 0, 0, 0
	for _, r := range runs {
		if r.Unserved > 0 {
			bad++
		}
		clients += r.Unserved
		all += r.Clients
	}
	return fmt.Sprintf("all served within 1 s after %d of %d heals; %d of %d clients were not", len(runs)-bad, len(runs), clients, all)
}

func ratioOf(peer, own float64) string {
	if own <= 0 || peer <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", peer/own)
}
