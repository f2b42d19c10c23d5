package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// show prints the medians, with their ratios to the reference, and returns how many of the wanted figures Tandem misses.
func show(out io.Writer, rows []row, s *store) (missed int) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "row\tmeasure\ttandem\thaproxy\tnginx\tcaddy\tstock\tratio\twanted\t")
	for _, w := range rows {
		missed += line(t, w.name, w.cost, w, s, func(s sample) float64 { return s.Cost })
		missed += line(t, "", w.rate, w, s, func(s sample) float64 { return s.Rate })
	}
	_ = t.Flush() // out is the terminal
	fmt.Fprintln(out, "Ratios are to HAProxy, those of udp to nginx; in brackets those of the others.")
	return missed
}

func line(out io.Writer, name string, m measure, w row, s *store, of func(sample) float64) int {
	fmt.Fprintf(out, "%s\t%s", name, m.unit)
	base := s.of(w.name, w.reference())
	for _, system := range []string{"tandem", "haproxy", "nginx", "caddy", "stock"} {
		seen := s.of(w.name, system)
		switch {
		case len(seen) == 0:
			fmt.Fprint(out, "\t-")
		case len(base) == 0 || system == "tandem" || system == w.reference():
			fmt.Fprintf(out, "\t%.4g", median(seen, of))
		default:
			fmt.Fprintf(out, "\t%.4g (%.2f)", median(seen, of), median(seen, of)/median(base, of))
		}
	}
	ours := s.of(w.name, "tandem")
	if len(ours) == 0 || len(base) == 0 {
		fmt.Fprintln(out, "\t-\t"+m.String()+"\t")
		return 0
	}
	ratio := median(ours, of) / median(base, of)
	seen := ratio
	if m.absolute {
		seen = median(ours, of)
	}
	verdict, missed := "", 0
	if !m.met(seen) {
		verdict, missed = "MISSED", 1
	}
	fmt.Fprintf(out, "\t%.2f\t%s\t%s\n", ratio, m, verdict)
	return missed
}

func median(s []sample, of func(sample) float64) float64 {
	v := make([]float64, len(s))
	for i := range s {
		v[i] = of(s[i])
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
