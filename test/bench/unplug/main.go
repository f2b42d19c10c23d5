// Command unplug pulls the plug of one of two backends under load, behind Tandem and behind HAProxy in turn, each with its defaults, in
// network namespaces. It prints how many requests failed and when the last one began. It needs root and haproxy, and ends with status 1
// where Tandem is not within its goal.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"text/template"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

const (
	// A request every 4 ms on a connection of its own; one without an answer after lab.Patience has failed.
	every = 4 * time.Millisecond
	// watched is how long is looked at after the fault.
	watched = 15 * time.Second

	goalFailed = 30
	goalClean  = 2 * time.Second
)

//go:embed haproxy.cfg.tmpl
var haproxyConfig string

func main() {
	// The client has a thread of its own, but a thread of Go that has nothing to run on is late: more of these than there are cores.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-unplug:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench-unplug", flag.ContinueOnError)
	binary := flags.String("tandem", "bin/tandem", "the binary to measure")
	runs := flags.Int("runs", 5, "runs of each")
	only := flags.String("only", "", "measure this one only: tandem or haproxy")
	if err := flags.Parse(args); err != nil {
		return err
	}
	missed := 0
	for i := range *runs {
		for _, s := range []struct {
			name   string
			launch lab.Launch
		}{{"tandem", nil}, {"haproxy", haproxy}} {
			if *only != "" && *only != s.name {
				continue
			}
			r, err := measure(ctx, lab.PairConfig{Binary: *binary, Launch: s.launch})
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Printf("run %d  %-8s %5d of %d failed %v, the last one began %.2f s after the plug, slowest answer %.2f s\n",
				i+1, s.name, r.Failed, r.Attempts, r.Outcomes, r.clean.Seconds(), r.Slowest.Seconds())
			if s.launch == nil && (r.Failed > goalFailed || r.clean > goalClean) {
				missed++
			}
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d runs of Tandem had more than %d failures, or failures after %v", missed, *runs, goalFailed, goalClean)
	}
	return nil
}

// report is what the client saw from the fault on.
type report struct {
	lab.Report
	clean time.Duration // after the fault the last request that failed began
}

// measure runs one node with that launch, and pulls the plug of one backend.
func measure(ctx context.Context, cfg lab.PairConfig) (report, error) {
	dir, err := os.MkdirTemp("", "unplug")
	if err != nil {
		return report{}, err
	}
	defer os.RemoveAll(dir)
	l, err := lab.New(dir)
	if err != nil {
		return report{}, err
	}
	defer l.Close()
	p, err := lab.NewPair(l, cfg)
	if err != nil {
		return report{}, err
	}
	if err := p.StartNode(0); err != nil {
		return report{}, err
	}
	client, err := p.Load(every)
	if err != nil {
		return report{}, err
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := p.WaitServed(within, client, 5*time.Second); err != nil {
		return report{}, err
	}
	from := time.Now()
	if _, err := p.SilentCut(p.Backends[0].Host); err != nil {
		return report{}, err
	}
	r := report{Report: client.Conclude(from, from.Add(watched))}
	for _, a := range client.Attempts(from, from.Add(watched)) {
		if a.Outcome != lab.OK {
			r.clean = a.Start.Sub(from)
		}
	}
	return r, nil
}

// haproxy launches HAProxy, and gives the node the address that nobody moves here.
func haproxy(n *lab.Node) ([]*lab.Proc, error) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy" // where Debian puts it, which is not always in PATH
	}
	file := filepath.Join(n.Pair.Dir(), "haproxy.cfg")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := template.Must(template.New("haproxy.cfg").Parse(haproxyConfig))
	if err := t.Execute(f, map[string]any{"Port": lab.PortHTTP, "Backends": n.Pair.Backends[:]}); err != nil {
		return nil, err
	}
	if err := n.AddAddr(netip.PrefixFrom(n.Pair.VIP, n.Pair.VIP.BitLen())); err != nil {
		return nil, err
	}
	p, err := n.Start(n.Name()+"-haproxy", exec.Command(path, "-db", "-f", file)) //nolint:noctx // ends with the lab
	if err != nil {
		return nil, err
	}
	return []*lab.Proc{p}, nil
}
