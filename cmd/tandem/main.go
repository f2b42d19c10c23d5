// Command tandem is a load balancer that is never alone: the daemon, and the commands to steer it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tandem-lb/tandem/configs"
)

func main() {
	errs := newBacklog(os.Stderr)
	status := run(context.Background(), os.Args[1:], os.Stdout, errs)
	errs.close()
	os.Exit(status)
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot() //nolint:contextcheck // the commands get it from ExecuteContext
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil, isA[told](err):
	case isA[wrongFile](err) && errors.Is(err, fs.ErrNotExist):
		say(stderr, "tandem: %v; write it (configs/examples/minimal-lb1.yaml is the smallest), or name another file with --config", err)
	case isA[configs.Problems](err):
		say(stderr, "%v", err) // each line names its file
	case isA[wrongUse](err):
		say(stderr, "tandem: %v\ntandem --help tells the commands, tandem COMMAND --help one of them", err)
	default:
		say(stderr, "tandem: %v", err)
	}
	return exitStatus(err)
}

// say writes a line; if that fails there is nobody left to tell.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
