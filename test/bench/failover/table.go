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
	median, _ := spread(runs, blackout)
	both, _ := spread(runs, dual)
	_, lost := spread(runs, failed)
	_, moved := spread(runs, func(r result) float64 { return float64(r.Moves) })
	_, unserved := spread(runs, func(r result) float64 { return float64(r.Unserved) })
	if n := count(runs, func(r result) bool { return r.Lost }); n > 0 {
		miss(true, "%d of %d runs not survived", n, len(runs))
	}
	miss(g.blackout > 0 && median > ms(g.blackout), "blackout %.0f ms, at most %v wanted", median, g.blackout)
	miss(g.checkDual && both > ms(g.dual), "dual %.0f ms, at most %v wanted", both, g.dual)
	miss(g.unfailed && lost > 0, "%.0f requests failed in one run, none wanted", lost)
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

// show prints the table, and returns how many goals Tandem missed.
func show(w io.Writer, s *store, fs []fault, systems []system) (missed int) {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nfault\tsystem\truns\tblackout ms\tby ends\tfailed\tdual ms\tmoved\tblackout ratio")
	for _, f := range fs {
		if f.goal.served {
			continue
		}
		base, _ := spread(s.of(f.name, reference), blackout)
		for _, sys := range systems {
			row(t, f, sys, s.of(f.name, sys.name), base)
		}
	}
	_ = t.Flush()
	for _, f := range fs {
		for _, sys := range systems {
			if runs := s.of(f.name, sys.name); f.goal.served && len(runs) > 0 {
				fmt.Fprintf(w, "%s, %s: %s\n", f.name, sys.name, unserved(runs))
			}
		}
	}
	return goals(w, s, fs)
}

func row(w io.Writer, f fault, sys system, runs []result, base float64) {
	if len(runs) == 0 {
		return
	}
	median, _ := spread(runs, blackout)
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d of %d\t%s\n", f.name, sys.name, len(runs),
		cell(runs, blackout), cell(runs, func(r result) float64 { return r.ByEnds }), cell(runs, failed), cell(runs, dual),
		count(runs, func(r result) bool { return r.Moves > 0 }), len(runs), ratioOf(median, base))
	if n := count(runs, func(r result) bool { return r.Lost }); n > 0 {
		fmt.Fprintf(w, "\t\t\t%d of these not survived: the blackout was longer\n", n)
	}
}

func blackout(r result) float64 { return r.Blackout }
func failed(r result) float64   { return float64(r.Failed) }
func dual(r result) float64     { return r.Dual }

// goals prints which goals Tandem met.
func goals(w io.Writer, s *store, fs []fault) (missed int) {
	fmt.Fprintln(w)
	for _, f := range fs {
		runs := s.of(f.name, reference)
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
