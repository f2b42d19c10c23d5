package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// goal is what a system must keep to. Zero fields ask for nothing.
type goal struct {
	blackout  time.Duration // median at most
	worst     time.Duration // blackout of the worst run at most
	slowest   time.Duration // of the requests that succeeded, in any run: longer means that a SYN was sent again
	dual      time.Duration // median at most, if checkDual
	checkDual bool
	lapse     time.Duration // median at most; and whoever asks the dead leader until then is refused
	claimed   time.Duration // after the fault until the other node answers, median at most
	heal      time.Duration // after the heal until one holds, median at most
	unfailed  bool          // no failed request in any run
	still     bool          // the VIP does not move in any run
	atMost    int           // nor more often than this
	served    bool          // no client without service in any run
	unlapsed  bool          // no gate lapses in any run
	cpu       float64       // percent of a core, median at most
	memory    float64       // MiB, median at most
}

// misses says in which points the runs miss the goal.
func (g goal) misses(runs []result) []string {
	var list []string
	miss := func(missed bool, format string, args ...any) {
		if missed {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	within := func(what string, of func(result) float64, median, worst time.Duration) {
		m, w := spread(runs, of)
		miss(median > 0 && m > ms(median), "%s %.0f ms, at most %v wanted", what, m, median)
		miss(worst > 0 && w > ms(worst), "%s %.0f ms in one run, at most %v wanted", what, w, worst)
	}
	if n := count(runs, func(r result) bool { return r.Lost }); n > 0 {
		miss(true, "%d of %d runs not survived", n, len(runs))
	}
	within("blackout", blackout, g.blackout, g.worst)
	within("slowest request", slowest, 0, g.slowest)
	within("the old leader answered for", func(r result) float64 { return r.Lapse }, g.lapse, 0)
	within("claimed after", func(r result) float64 { return r.Claimed }, g.claimed, 0)
	within("healed after", func(r result) float64 { return r.Healed }, g.heal, 0)
	both, _ := spread(runs, dual)
	miss(g.checkDual && both > ms(g.dual), "dual %.0f ms, at most %v wanted", both, g.dual)
	_, hanging := spread(runs, func(r result) float64 { return float64(r.Hanging) })
	miss(g.lapse > 0 && hanging > 0, "the dead leader swallowed %.0f connections in one run", hanging)
	_, lost := spread(runs, failed)
	miss(g.unfailed && lost > 0, "%.0f requests failed in one run, none wanted", lost)
	_, moved := spread(runs, moved)
	miss(g.still && moved > 0, "the VIP moved")
	miss(g.atMost > 0 && moved > float64(g.atMost), "the VIP moved %.0f times in one run, at most %d wanted", moved, g.atMost)
	_, unserved := spread(runs, func(r result) float64 { return float64(r.Unserved) })
	miss(g.served && unserved > 0, "%.0f clients without service after one heal", unserved)
	_, lapses := spread(runs, func(r result) float64 { return float64(r.Lapses) })
	miss(g.unlapsed && lapses > 0, "%.0f gates lapsed in one run", lapses)
	cpu, _ := spread(runs, func(r result) float64 { return r.CPU })
	miss(g.cpu > 0 && cpu > g.cpu, "%.1f %% of a core, at most %.0f %% wanted", cpu, g.cpu)
	memory, _ := spread(runs, func(r result) float64 { return r.Memory })
	miss(g.memory > 0 && memory > g.memory, "%.0f MiB, at most %.0f wanted", memory, g.memory)
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

// show prints the table, and returns how many goals were missed.
func show(w io.Writer, s *store, fs []fault, systems []system) (missed int) {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nfault\tsystem\truns\tblackout ms\tby ends\tslowest ms\tfailed\tdual ms\told heard ms\tmoves\tblackout ratio")
	for _, f := range fs {
		base, _ := spread(s.of(f.name, reference), blackout)
		for _, sys := range systems {
			row(t, f, sys, s.of(f.name, sys.name), base)
		}
	}
	_ = t.Flush()
	for _, f := range fs {
		for _, sys := range systems {
			special(w, f, sys, s.of(f.name, sys.name))
		}
	}
	return verdicts(w, s, fs)
}

func row(w io.Writer, f fault, sys system, runs []result, base float64) {
	if len(runs) == 0 || runs[0].Attempts == 0 || runs[0].Clients > 0 {
		return
	}
	median, _ := spread(runs, blackout)
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.name, sys.name, len(runs),
		cell(runs, blackout), cell(runs, func(r result) float64 { return r.ByEnds }), cell(runs, slowest), cell(runs, failed), cell(runs, dual),
		cell(runs, func(r result) float64 { return r.Lapse }), cell(runs, moved), ratioOf(median, base))
	if n := count(runs, func(r result) bool { return r.Lost }); n > 0 {
		fmt.Fprintf(w, "\t\t\t%d of these not survived: the blackout was longer\n", n)
	}
}

// special tells what only some rows have.
func special(w io.Writer, f fault, sys system, runs []result) {
	sum := func(of func(result) int) (n int) {
		for _, r := range runs {
			n += of(r)
		}
		return n
	}
	refused, hanging := sum(func(r result) int { return r.Resets }), sum(func(r result) int { return r.Hanging })
	cpu, _ := spread(runs, func(r result) float64 { return r.CPU })
	switch healed := (func(r result) float64 { return r.Healed }); {
	case len(runs) == 0:
	case runs[0].Clients > 0:
		fmt.Fprintf(w, "%s, %s: %s\n", f.name, sys.name, unserved(runs))
	case runs[0].Claimed > 0:
		fmt.Fprintf(w, "%s, %s: the other node answered after %s ms\n", f.name, sys.name, cell(runs, func(r result) float64 { return r.Claimed }))
	case runs[0].Lapse > 0 && runs[0].Attempts == 0:
		fmt.Fprintf(w, "%s, %s: the old leader was heard for %s ms, on any link\n", f.name, sys.name, cell(runs, func(r result) float64 { return r.Lapse }))
	case cpu > 0:
		fmt.Fprintf(w, "%s, %s: %s %% of a core, %s MiB\n", f.name, sys.name, tenths(runs, func(r result) float64 { return r.CPU }),
			tenths(runs, func(r result) float64 { return r.Memory }))
	case refused+hanging > 0:
		fmt.Fprintf(w, "%s, %s: who still asked the old leader while it answered ARP was refused %d times and left hanging %d times\n",
			f.name, sys.name, refused, hanging)
	case f.heals():
		fmt.Fprintf(w, "%s, %s: one holder %s ms after the heal\n", f.name, sys.name, cell(runs, healed))
	}
}

// heals reports whether it matters how long after the heal two held.
func (f fault) heals() bool {
	for _, g := range f.goals {
		if g.heal > 0 {
			return true
		}
	}
	return false
}

func blackout(r result) float64 { return r.Blackout }
func slowest(r result) float64  { return r.Slowest }
func failed(r result) float64   { return float64(r.Failed) }
func dual(r result) float64     { return r.Dual }
func moved(r result) float64    { return float64(r.Moves) }

// verdicts prints which goals were met.
func verdicts(w io.Writer, s *store, fs []fault) (missed int) {
	fmt.Fprintln(w)
	for _, f := range fs {
		for _, name := range slices.Sorted(maps.Keys(f.goals)) {
			runs := s.of(f.name, name)
			if len(runs) == 0 {
				continue
			}
			verdict := "met"
			if list := f.goals[name].misses(runs); len(list) > 0 {
				missed++
				verdict = "MISSED: " + strings.Join(list, "; ")
			}
			fmt.Fprintf(w, "goal of %-14s %-16s %s: %s\n", f.name, name, f.what, verdict)
		}
	}
	return missed
}

func tenths(runs []result, of func(result) float64) string {
	median, largest := spread(runs, of)
	return fmt.Sprintf("%.1f (%.1f)", median, largest)
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
