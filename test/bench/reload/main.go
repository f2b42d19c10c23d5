// Command reload has a leader and its standby read changed files again and again under load, in network namespaces. It prints how many requests
// were asked and how many failed, whether the VIP has moved and whether anybody was late. It needs root, and ends with status 1 unless at least
// so many requests as wanted were asked and all is well.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// every is the time between the requests of each of two clients, each on a connection of its own.
const every = time.Millisecond

func main() {
	// The clients have threads of their own, but a thread of Go that has nothing to run on is late: more of these than there are cores.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-reload:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench-reload", flag.ContinueOnError)
	binary := flags.String("tandem", "bin/tandem", "the binary to measure")
	wanted := flags.Int("requests", 100_000, "requests to ask at least")
	pause := flags.Duration("pause", 100*time.Millisecond, "time between two reloads")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "reload")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := lab.New(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	p, err := lab.NewPair(l, lab.PairConfig{Binary: *binary})
	if err != nil {
		return err
	}
	for i := range p.Nodes {
		if err := p.StartNode(i); err != nil {
			return err
		}
	}
	return measure(ctx, p, *binary, *wanted, *pause)
}

func measure(ctx context.Context, p *lab.Pair, binary string, wanted int, pause time.Duration) error {
	var clients []*lab.Client
	for range 2 {
		c, err := p.Client.Client(netip.AddrPortFrom(p.VIP, lab.PortHTTP), every)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.WaitServed(within, clients[0], 2*time.Second); err != nil {
		return err
	}
	crowd, err := p.Crowd.Crowd(netip.AddrPortFrom(p.VIP, lab.PortTCP), 200)
	if err != nil {
		return err
	}
	from, reloads, slowest := time.Now(), 0, time.Duration(0)
	for asked := 0; asked < wanted; {
		took, err := reload(ctx, p.Nodes[reloads%2], binary, reloads/2)
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
		if reloads++; reloads%20 == 0 {
			asked = sum(clients, from, time.Now()).Attempts
		}
		time.Sleep(pause)
	}
	to := time.Now()
	time.Sleep(lab.Patience)
	r, v := sum(clients, from, to), p.Watch.View(from, to)
	fmt.Printf("%d reloads in %.0f s, the slowest took %.1f ms: %d requests, %d failed, slowest answer %.1f ms; %d of %d open connections ended; the VIP was at %v, and with nobody for %v\n",
		reloads, to.Sub(from).Seconds(), float64(slowest.Microseconds())/1000, r.Attempts, r.Failed, float64(r.Slowest.Microseconds())/1000, crowd.Broken(), crowd.Len(), v.Holders(), v.None.Longest)
	late, err := complaints(p)
	switch {
	case err != nil:
		return err
	case r.Failed > 0 || crowd.Broken() > 0 || len(v.Holders()) != 1:
		return errors.New("a reload was seen by somebody")
	case len(late) > 0:
		return fmt.Errorf("somebody was late: %q", late)
	}
	return nil
}

func sum(clients []*lab.Client, from, to time.Time) lab.Report {
	var all []lab.Attempt
	for _, c := range clients {
		all = append(all, c.Attempts(from, to)...)
	}
	slices.SortFunc(all, func(a, b lab.Attempt) int { return a.Start.Compare(b.Start) })
	return lab.Sum(all)
}

// reload changes a node's file and has it read.
func reload(ctx context.Context, n *lab.Node, binary string, i int) (time.Duration, error) {
	config := n.Config()
	for _, c := range [][2]string{
		{"balance: round-robin", "balance: " + []string{"round-robin", "least-conn", "p2c", "maglev"}[i%4]},
		{"rise: 2", fmt.Sprintf("rise: %d", 1+i%3)},
		{"protocol: http,", "protocol: http, request_id: " + []string{"X-A", "X-B"}[i%2] + ","},
	} {
		config = strings.Replace(config, c[0], c[1], 1)
	}
	if i%2 == 0 {
		config += fmt.Sprintf("      - {name: web3, address: %q}\n", n.Pair.Backends[0].Addr())
	}
	if i%8 < 4 {
		config = strings.Replace(config, "listeners:\n", "listeners:\n  - {name: extra, bind: \"127.0.0.1:8099\", protocol: tcp, pool: web}\n", 1)
	}
	if err := os.WriteFile(n.ConfigPath(), []byte(config), 0o600); err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := exec.CommandContext(ctx, binary, "reload", "--socket", n.Socket()).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("reload of %s: %w: %s", n.Name(), err, out)
	}
	return time.Since(began), nil
}

// complaints are the lines of the logs that say that a beat was late, or a node.
func complaints(p *lab.Pair) ([]string, error) {
	var out []string
	for _, n := range p.Nodes {
		b, err := os.ReadFile(n.LogPath())
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "was late") || strings.Contains(line, "peer silent") {
				out = append(out, line)
			}
		}
	}
	return out, nil
}
