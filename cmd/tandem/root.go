package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

const (
	defaultConfig = "/etc/tandem/tandem.yaml"
	defaultSocket = "/run/tandem/tandem.sock"
)

// Exit statuses.
const (
	statusDone   = 0
	statusFailed = 1
	statusWrong  = 2 // wrong use, or a wrong file
)

// wrongFile is an error of the configuration file: exit status 2.
type wrongFile struct{ error }

func (w wrongFile) Unwrap() error { return w.error }

// wrongUse is an error of the command line: exit status 2, with a word about --help.
type wrongUse struct{ error }

func (w wrongUse) Unwrap() error { return w.error }

// options are the flags that all commands have.
type options struct {
	configFile string
	socketPath string
}

func (o *options) config() string { return o.configFile }

func (o *options) socket() string { return o.socketPath }

// newRoot returns `tandem` with all its commands.
func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "tandem",
		Short: "A load balancer that is never alone",
		Long: `Tandem is a load balancer that is never alone: hosts gossip, elect one leader, and the leader claims a floating
virtual IP (VIP) and forwards traffic to healthy backends. When the leader fails, a standby takes the VIP over.

Exit status: 0 done, 1 failed, 2 wrong use or wrong file.`,
		Example: `  tandem keygen --out /etc/tandem/cluster.key    once; copy the file to the other node
  tandem check                                   is the file right?
  tandem run                                     the daemon
  tandem status                                  who leads, since when and why
  tandem handover                                move the VIP to the standby`,
		Version:       version, // any text makes the flag; the template says the line
		Args:          noSuchCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return wrongUse{errors.New("a command is wanted")}
		},
	}
	root.SetVersionTemplate(versionLine())
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUse{err} })
	socket := defaultSocket
	if s := os.Getenv("TANDEM_SOCKET"); s != "" {
		socket = s
	}
	root.PersistentFlags().StringVar(&o.configFile, "config", defaultConfig, "the configuration file")
	root.PersistentFlags().StringVar(&o.socketPath, "socket", socket, "the daemon's socket; $TANDEM_SOCKET changes the default")
	root.AddCommand(commands(&o)...)
	root.AddCommand(newCheckCommand(o.config), newKeygenCommand(), newVersionCommand(), newManCommand())
	root.AddCommand(laterCommands()...)
	for _, c := range root.Commands() {
		refuseArgs(c)
	}
	return root
}

// noSuchCommand is asked what to do with arguments that are no command.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return wrongUse{fmt.Errorf("there is no command %q%s", args[0], hint)}
}

// refuseArgs makes wrong arguments wrong use, which cobra does not tell from other errors.
func refuseArgs(c *cobra.Command) {
	args := c.Args
	if args == nil {
		args = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, a []string) error {
		if err := args(c, a); err != nil {
			if isA[wrongUse](err) {
				return err // it says more
			}
			if len(a) > 0 {
				err = fmt.Errorf("%q is one argument too many; tandem %s takes none", a[0], c.Name())
			}
			return wrongUse{err}
		}
		return nil
	}
}

// exitStatus says how an error ends the process.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return statusDone
	case isA[wrongUse](err), isA[wrongFile](err), isA[later](err):
		return statusWrong
	}
	return statusFailed
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
