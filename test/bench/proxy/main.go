package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-proxy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench-proxy", flag.ContinueOnError)
	role := flags.String("role", "", "what this process is; for the program's own children")
	ports := flags.String("ports", "", "for the program's own children")
	profile := flags.String("profile", "", "write a CPU profile of Tandem's proxy to this file")
	rounds := flags.Int("rounds", 5, "rounds; each measures every proxy once for each work")
	burst := flags.Duration("burst", 3*time.Second, "how long one measurement takes")
	stock := flags.Bool("stock", false, "measure net/http's reverse proxy too, over HTTP")
	only := flags.String("work", "", "comma-separated works to measure; default all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch *role {
	case "tandem":
		return serveTandem(ctx, *ports, *profile)
	case "stock":
		return serveStock(ctx, *ports)
	case "source":
		return serveSource(ctx, *ports)
	}
	b, err := prepare(ctx, *profile, *stock)
	if err != nil {
		return err
	}
	defer b.clean()
	results := make(map[key][]sample)
	for round := range *rounds {
		for _, w := range works() {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), w.name) {
				continue
			}
			for _, peer := range b.peers {
				if w.tcp && peer.tcp == 0 {
					continue
				}
				s, err := b.patiently(ctx, peer, w, *burst)
				if err != nil {
					return fmt.Errorf("%s through %s: %w", w.name, peer.name, err)
				}
				results[key{w.name, peer.name}] = append(results[key{w.name, peer.name}], s)
				fmt.Fprintf(os.Stderr, "round %d  %-10s %-8s %8.2f %s  %10.0f %s\n",
					round+1, w.name, peer.name, s.cost, w.costUnit, s.rate, w.rateUnit)
			}
		}
	}
	return table(out, results)
}

type key struct{ work, peer string }

// table prints the medians with their ratios to HAProxy.
func table(out io.Writer, results map[key][]sample) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\tmeasure\ttandem\thaproxy\tratio\tgoal")
	for _, w := range works() {
		ours, theirs := results[key{w.name, "tandem"}], results[key{w.name, "haproxy"}]
		if len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		cost := func(s sample) float64 { return s.cost }
		rate := func(s sample) float64 { return s.rate }
		a, b := median(ours, cost), median(theirs, cost)
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\n", w.name, w.costUnit, a, b, a/b, w.costGoal)
		a, b = median(ours, rate), median(theirs, rate)
		fmt.Fprintf(t, "\t%s\t%.0f\t%.0f\t%.2f\t%s\n", w.rateUnit, a, b, a/b, w.rateGoal)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, w := range works() {
		if other := results[key{w.name, "net/http"}]; len(other) > 0 {
			fmt.Fprintf(out, "net/http, %s: %.2f %s\n", w.name, median(other, func(s sample) float64 { return s.cost }), w.costUnit)
		}
	}
	return nil
}

func median(s []sample, of func(sample) float64) float64 {
	v := make([]float64, len(s))
	for i := range s {
		v[i] = of(s[i])
	}
	slices.Sort(v)
	return v[len(v)/2]
}
