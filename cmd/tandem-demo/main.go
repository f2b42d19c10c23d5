package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/tandem-lb/tandem/test/lab"
)

// Exit statuses.
const (
	exitSurvived    = 0
	exitNotSurvived = 1
	exitUsage       = 2
	exitImpossible  = 3
	exitInterrupted = 130
)

func main() {
	// The client's thread must not wait for the others' turn.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options come from the command line.
type options struct {
	binary string
	keep   bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{binary: "bin/tandem"}
	if env := os.Getenv("TANDEM"); env != "" {
		o.binary = env
	}
	fs := flag.NewFlagSet("tandem-demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.binary, "tandem", o.binary, "the `binary` to show; also $TANDEM; built if missing")
	fs.BoolVar(&o.keep, "keep", false, "keep the logs even if all went well")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitSurvived
		}
		return exitUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "tandem-demo: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	}
	if err := build(ctx, &o, stderr); err != nil {
		fmt.Fprintln(stderr, "tandem-demo:", err)
		return exitImpossible
	}
	if err := lab.Supported(); err != nil {
		return elsewhere(ctx, o, err, stdout, stderr)
	}
	return show(ctx, o, stdout, stderr)
}

// build makes the binary if it is missing, and its path absolute.
func build(ctx context.Context, o *options, stderr io.Writer) error {
	path, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	o.binary = path
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	fmt.Fprintf(stderr, "building %s\n", path)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/tandem-lb/tandem/cmd/tandem")
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s is missing and could not be built: %w; run `make build` in the repository, or give -tandem a path", path, err)
	}
	return nil
}

// show builds the pair, breaks it, and tells. Logs are kept when something went wrong.
func show(ctx context.Context, o options, stdout, stderr io.Writer) int {
	dir, err := os.MkdirTemp("", "tandem-demo")
	if err != nil {
		fmt.Fprintln(stderr, "tandem-demo:", err)
		return exitImpossible
	}
	code := play(ctx, o, dir, stdout, stderr)
	switch {
	case o.keep || code != exitSurvived && code != exitInterrupted:
		fmt.Fprintf(stdout, "The nodes' logs and configurations are in %s\n", dir)
	default:
		_ = os.RemoveAll(dir)
	}
	return code
}
