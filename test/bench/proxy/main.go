package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// plan is what was asked for on the command line.
type plan struct {
	role, ports, files, profile string // of the program's own children
	dir                         string
	rounds                      int
	burst                       time.Duration
	fresh                       bool
	rows                        []row
	systems                     []string
}

func parse(args []string, stderr io.Writer) (plan, error) {
	var p plan
	fs := flag.NewFlagSet("bench-proxy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&p.role, "role", "", "what this process is; for the program's own children")
	fs.StringVar(&p.ports, "ports", "", "for the program's own children")
	fs.StringVar(&p.files, "files", "", "for the program's own children")
	fs.StringVar(&p.profile, "profile", "", "write a CPU profile of Tandem's proxy to this file")
	fs.StringVar(&p.dir, "dir", "bench-results", "where results are kept")
	fs.IntVar(&p.rounds, "rounds", 5, "rounds; each measures every proxy once")
	fs.DurationVar(&p.burst, "burst", 3*time.Second, "how long one measurement takes")
	fs.BoolVar(&p.fresh, "fresh", false, "measure again what was measured before")
	rowList := fs.String("row", "", "rows, separated by commas; empty: all")
	systemList := fs.String("system", "tandem,haproxy,nginx,caddy", "systems, separated by commas; stock, the standard library's proxy, on request")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	if fs.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	p.systems = strings.Split(*systemList, ",")
	for _, r := range rows() {
		if *rowList == "" || slices.Contains(strings.Split(*rowList, ","), r.name) {
			p.rows = append(p.rows, r)
		}
	}
	if len(p.rows) == 0 {
		return p, fmt.Errorf("no row is called %q", *rowList)
	}
	return p, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench-proxy:", err)
		return 2
	}
	missed := 0
	switch p.role {
	case "tandem":
		err = serveTandem(ctx, p.ports, p.files, p.profile)
	case "stock":
		err = serveStock(ctx, p.ports)
	case "source":
		err = serveSource(ctx, p.ports)
	default:
		missed, err = p.measure(ctx, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench-proxy:", err)
		return 1
	}
	return min(missed, 1)
}

// measure does what is missing, prints the table, and returns how many figures are missed.
func (p plan) measure(ctx context.Context, stdout, stderr io.Writer) (int, error) {
	s, err := open(filepath.Join(p.dir, "proxy.jsonl"))
	if err != nil {
		return 0, fmt.Errorf("read the results of earlier runs: %w", err)
	}
	if p.fresh {
		if err := s.drop(func(r result) bool {
			return slices.ContainsFunc(p.rows, func(w row) bool { return w.name == r.Row })
		}); err != nil {
			return 0, fmt.Errorf("drop earlier results: %w", err)
		}
	}
	for _, w := range p.rows {
		if err := p.measureRow(ctx, w, s, stderr); err != nil {
			_ = show(stdout, p.rows, s)
			return 0, fmt.Errorf("%w; what was measured is kept, and the same command goes on from here", err)
		}
	}
	return show(stdout, p.rows, s), nil
}

// measureRow has each system do a row, in turn, in processes that have done nothing before.
func (p plan) measureRow(ctx context.Context, w row, s *store, progress io.Writer) error {
	systems := slices.DeleteFunc(slices.Clone(p.systems), func(name string) bool { return !w.measures(name) })
	if !slices.ContainsFunc(systems, func(name string) bool { return s.count(w.name, name) < p.rounds }) {
		return nil
	}
	b, err := prepare(ctx, p.profile, systems)
	if err != nil {
		return err
	}
	defer b.clean()
	for round := range p.rounds {
		for _, peer := range b.peers {
			if s.count(w.name, peer.name) > round {
				continue
			}
			got, err := b.patiently(ctx, peer, w, p.burst)
			if err != nil {
				return fmt.Errorf("%s through %s: %w", w.name, peer.name, err)
			}
			if err := s.add(result{Row: w.name, System: peer.name, sample: got}); err != nil {
				return fmt.Errorf("keep a result: %w", err)
			}
			fmt.Fprintf(progress, "round %d  %-10s %-8s %8.2f %s  %10.0f %s\n",
				round+1, w.name, peer.name, got.Cost, w.cost.unit, got.Rate, w.rate.unit)
		}
	}
	return nil
}
