package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// later is the error of a command of a later version: exit status 2.
type later struct{ error }

func (l later) Unwrap() error { return l.error }

// laterCommands are the commands of later versions: hidden, and refused by name with what to do today.
func laterCommands() []*cobra.Command {
	var cs []*cobra.Command
	for _, l := range []struct{ name, today string }{
		{"events", "the log tells them: journalctl -u tandem --follow"},
		{"drill", "stop the leader (systemctl stop tandem), or kill it, while a client asks the VIP"},
		{"key", "tandem keygen --out FILE makes a new key; to change it, stop both nodes, copy it to both, start them"},
	} {
		cs = append(cs, &cobra.Command{
			Use:                l.name,
			Short:              "Comes in a later version",
			Long:               "Comes in a later version. Today: " + l.today + ".",
			Hidden:             true,
			DisableFlagParsing: true, // whatever follows, the answer is the same
			Args:               cobra.ArbitraryArgs,
			RunE: func(*cobra.Command, []string) error {
				return later{fmt.Errorf("%s comes in a later version; today: %s", l.name, l.today)}
			},
		})
	}
	return cs
}
