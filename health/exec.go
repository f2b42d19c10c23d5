package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/tandem-lb/tandem/command"
)

// execProbe runs a program that judges a backend: status 0 means that it is well. It learns by its environment which one.
type execProbe struct {
	target Target
	addr   netip.AddrPort
	run    func(context.Context, command.Command) (string, error)
}

func (e *execProbe) judge(ctx context.Context) result {
	c := e.target.Config
	out, err := e.run(ctx, command.Command{
		Argv: c.Command, User: c.RunAs, Timeout: c.Timeout,
		Env: []string{
			"TANDEM_POOL=" + e.target.Pool, "TANDEM_BACKEND=" + e.target.Backend,
			"TANDEM_ADDRESS=" + e.addr.Addr().String(), "TANDEM_PORT=" + strconv.Itoa(int(e.addr.Port())),
		},
	})
	said := ""
	if line, _, _ := strings.Cut(strings.TrimSpace(out), "\n"); line != "" {
		said = ": " + line
	}
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return passed("status 0" + said)
	case ok && ended.Exited():
		return failed(fmt.Sprintf("status %d%s", ended.ExitCode(), said))
	case ok, errors.Is(err, command.ErrTimeout):
		return failed(err.Error() + said)
	}
	// It could not be run, which tells nothing of the backend.
	return result{reason: printable(c.Command[0] + ": " + err.Error()), local: true}
}
