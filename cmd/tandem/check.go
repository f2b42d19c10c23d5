package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/configs"
)

// told is an error that the command has printed already.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// newCheckCommand returns `tandem check`.
func newCheckCommand(config func() string) *cobra.Command {
	var host bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration file is right",
		Long: `Say whether the configuration file is right: "FILE: ok" on the standard output, or every problem at once on the
standard error, each with its line, column and key, what is wrong and what is allowed.

What depends on this host (an interface that is missing, a key that others can read) is a "warning:" line, since the
file may be meant for another host, or for a later moment; with --host it is an error.

Exit status: 0 the file is right, 1 it is, but this host does not fit it (--host), 2 it is wrong or cannot be read.`,
		Example: `  tandem check
  tandem check --config new.yaml          before copying it to the hosts
  tandem check --host && systemctl restart tandem`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return check(config(), host, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&host, "host", false, "facts of this host that do not fit are errors")
	return cmd
}

func check(file string, host bool, stdout, stderr io.Writer) error {
	_, warnings, wrong := configs.Load(file)
	unfit := 0
	for _, w := range warnings {
		line := "warning: " + w.String()
		if host && w.Host {
			line = w.String()
			unfit++
		}
		if _, err := fmt.Fprintln(stderr, line); err != nil {
			return err
		}
	}
	switch {
	case wrong != nil:
		return wrongFile{wrong}
	case unfit > 0:
		return told{errors.New("this host does not fit the file")}
	}
	_, err := fmt.Fprintf(stdout, "%s: ok\n", file)
	return err
}
