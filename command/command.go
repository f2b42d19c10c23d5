package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Command is an external program and its limits. No shell is involved, unless Argv names one.
type Command struct {
	Argv []string // the program, as an absolute path, and its arguments
	Env  []string // added to a minimal environment; nothing of this process's own is passed on
	Dir  string   // default /
	// User runs the command; only root can name another than its own. Default: nobody if this process is root, else its own.
	// User 0 is refused.
	User string
	// Timeout is how long the command may take; then it and its children are killed. Default 10 s.
	Timeout time.Duration
	// MaxOutput bounds what is kept of the output, in bytes from its beginning; the rest is read and thrown away. Default 4 KiB.
	MaxOutput int
}

const (
	defaultTimeout   = 10 * time.Second
	defaultMaxOutput = 4 << 10
	path             = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// ErrTimeout says that a command was killed because it took too long.
var ErrTimeout = errors.New("timeout")

// Run runs c and waits for its end. It returns the beginning of what c wrote to its standard output and standard error,
// and an error unless it ended by itself with status 0: ErrTimeout, the context's error, an *exec.ExitError, or why it could not be started.
//
// However it ends, the processes that it left behind are killed: its descendants, and all of their process groups and
// sessions. Only a process escapes that left the session and whose parent has ended, as a daemon that detaches itself on purpose does.
//
// The command has no capabilities and cannot gain any (no_new_privs), so set-user-ID programs such as sudo do not work in it. It reads
// nothing (/dev/null), and it is killed when this process dies. Run may be called concurrently; it takes a thread while it runs.
func Run(ctx context.Context, c Command) (output string, err error) {
	if len(c.Argv) == 0 {
		return "", errors.New("no program to run")
	}
	who, err := credential(c.User)
	if err != nil {
		return "", err
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxOutput <= 0 {
		c.MaxOutput = defaultMaxOutput
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	out := &head{limit: c.MaxOutput}
	err = run(limited, c.build(who), out)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case limited.Err() != nil && err != nil:
		err = fmt.Errorf("%w after %v; it was killed with its children", ErrTimeout, c.Timeout)
	}
	return out.String(), err
}

func (c Command) build(who *owner) *exec.Cmd {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...) //nolint:gosec,noctx // what the operator wrote; run kills more than its process
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = slices.Concat([]string{path, "LC_ALL=C", "HOME=/"}, c.Env)
	cmd.SysProcAttr = attributes(who)
	return cmd
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	kept  strings.Builder
}

func (h *head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), max(h.limit-h.kept.Len(), 0))])
	return len(p), nil
}

func (h *head) String() string { return h.kept.String() }
