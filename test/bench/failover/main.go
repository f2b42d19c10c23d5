package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Those who watch have threads of their own, but a thread of Go that has nothing to run on is late: more of these than there are cores.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// job is one run that has not been measured.
type job struct {
	system system
	fault  fault
	run    int
}

// plan is what was asked for on the command line.
type plan struct {
	binary, dir string
	runs        int
	fresh       bool
	ask         string // this process only asks there: for the program's own children
	faults      []fault
	systems     []system
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p, err := parse(args, stderr)
	if err == nil && p.ask != "" {
		if err = ask(ctx, p.ask); err != nil {
			fmt.Fprintln(stderr, "bench-failover:", err)
		}
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench-failover:", err)
		return 2
	}
	s, err := load(filepath.Join(p.dir, "failover.jsonl"))
	if err != nil {
		fmt.Fprintln(stderr, "bench-failover: read the results of earlier runs:", err)
		return 1
	}
	if err := p.measure(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "bench-failover:", err)
		fmt.Fprintln(stderr, "what was measured is kept; the same command goes on from here")
		show(stdout, s, p.faults, p.systems)
		return 1
	}
	if show(stdout, s, p.faults, p.systems) > 0 {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (plan, error) {
	var p plan
	fs := flag.NewFlagSet("bench-failover", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&p.binary, "tandem", "bin/tandem", "the binary to measure")
	fs.StringVar(&p.dir, "dir", "bench-results", "where results and logs are kept")
	fs.IntVar(&p.runs, "runs", 0, "runs of each fault; 0: as each row says")
	fs.BoolVar(&p.fresh, "fresh", false, "measure again what was measured before")
	fs.StringVar(&p.ask, "ask", "", "for the program's own children")
	faultList := fs.String("fault", "", "faults, separated by commas; empty: all")
	systemList := fs.String("system", "", "systems, separated by commas; empty: all")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	if fs.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	var err error
	if p.faults, err = choose("fault", *faultList, faults(), func(f fault) string { return f.name }); err != nil {
		return p, err
	}
	p.systems, err = choose("system", *systemList, systems(), func(s system) string { return s.name })
	return p, err
}

// choose picks the named ones in their own order.
func choose[T any](kind, list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	wanted := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	var chosen []T
	var known []string
	for _, t := range all {
		known = append(known, name(t))
		if slices.Contains(wanted, name(t)) {
			chosen = append(chosen, t)
		}
	}
	for _, w := range wanted {
		if !slices.Contains(known, w) {
			return nil, fmt.Errorf("no %s is called %q: %s are known", kind, w, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// measures reports whether a row has a place for a system: those that have a goal there, and, unless it is for them only, the peers.
func (f fault) measures(s system) bool {
	_, has := f.goals[s.name]
	return has || !f.only && s.peer
}

// jobs lists what is missing, one system after the other.
func (p plan) jobs(s *store) []job {
	var list []job
	for _, sys := range p.systems {
		for _, f := range p.faults {
			if !f.measures(sys) {
				continue
			}
			runs := p.runs
			if runs == 0 {
				runs = f.runs
			}
			for i := range runs {
				if !s.has(f.name, sys.name, i) {
					list = append(list, job{system: sys, fault: f, run: i})
				}
			}
		}
	}
	return list
}

// measure does what is missing.
func (p plan) measure(ctx context.Context, s *store, out io.Writer) error {
	if p.fresh {
		err := s.drop(func(r result) bool {
			return slices.ContainsFunc(p.faults, func(f fault) bool { return f.name == r.Fault }) &&
				slices.ContainsFunc(p.systems, func(sys system) bool { return sys.name == r.System })
		})
		if err != nil {
			return fmt.Errorf("drop earlier results: %w", err)
		}
	}
	w := worker{plan: p}
	defer w.close()
	jobs, begin := p.jobs(s), time.Now()
	for i, j := range jobs {
		r, err := w.do(ctx, j, out)
		if err != nil {
			return err
		}
		if err := s.add(r); err != nil {
			return fmt.Errorf("keep a result: %w", err)
		}
		left := time.Since(begin) / time.Duration(i+1) * time.Duration(len(jobs)-i-1)
		fmt.Fprintf(out, "%-16s %-11s run %d: %s; %d of %d, %v left\n", j.system.name, j.fault.name, j.run+1, r, i+1, len(jobs), left.Round(time.Second))
	}
	return nil
}

// how words what became of the attempts that failed.
func how(failures map[string]int) string {
	if len(failures) == 0 {
		return ""
	}
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(failures)) {
		words = append(words, fmt.Sprintf("%d %s", failures[outcome], outcome))
	}
	return " (" + strings.Join(words, ", ") + ")"
}

func (r result) String() string {
	if r.Clients > 0 {
		return fmt.Sprintf("%s, %d of %d clients not served", r.Note, r.Unserved, r.Clients)
	}
	text := fmt.Sprintf("blackout %.1f ms (by ends %.1f) at %+.1f ms, %d of %d failed%s, dual %.0f ms, client late %.1f ms; %s",
		r.Blackout, r.ByEnds, r.At, r.Failed, r.Attempts, how(r.How), r.Dual, r.Late, r.Holders)
	if r.Note != "" {
		text += "; " + r.Note
	}
	return text
}
