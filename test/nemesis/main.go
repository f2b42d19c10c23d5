package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
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

// options come from the command line.
type options struct {
	binary   string
	dir      string
	duration time.Duration
	seed     uint64
	clock    bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{}
	fs := flag.NewFlagSet("nemesis", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.binary, "tandem", "bin/tandem", "the `binary` to break")
	fs.StringVar(&o.dir, "dir", "", "where logs are kept; a temporary directory by default, removed if all went well")
	fs.DurationVar(&o.duration, "duration", 3*time.Minute, "how long new episodes begin")
	fs.Uint64Var(&o.seed, "seed", 0, "the same faults as in another run; 0: new ones")
	fs.BoolVar(&o.clock, "clock", false, "also set the wall clock of this machine, by 1.5 s forth and back")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "nemesis: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	keep := o.dir != ""
	if err := o.prepare(stdout); err != nil {
		fmt.Fprintln(stderr, "nemesis:", err)
		return 1
	}
	broken, err := play(ctx, o, stdout)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "nemesis: seed %d: %v; logs are in %s\n", o.seed, err, o.dir)
		return 1
	case broken > 0:
		fmt.Fprintf(stderr, "nemesis: seed %d: %d episodes cost more than they may; logs are in %s\n", o.seed, broken, o.dir)
		return 1
	}
	if !keep {
		_ = os.RemoveAll(o.dir)
	}
	return 0
}

// prepare fills in what was left open.
func (o *options) prepare(stdout io.Writer) (err error) {
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "nemesis"); err != nil {
			return err
		}
	} else if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if o.clock {
		if err := mayStep(); err != nil {
			fmt.Fprintf(stdout, "without steps of the wall clock: %v\n", err)
			o.clock = false
		}
	}
	fmt.Fprintf(stdout, "seed %d, %v\n", o.seed, o.duration)
	return nil
}
