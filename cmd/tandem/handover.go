package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newHandoverCommand returns `tandem handover`.
func newHandoverCommand(socket func() string) *cobra.Command {
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "handover",
		Short: "Move the VIP to another node, and wait until it is there",
		Long: `Move the VIP from the leader to the best standby, or to the node that --to names, and return when it is there.

It can be asked for on any node: a standby passes it on to the leader. It is refused, with the reason, when the node
cannot lead (unknown, silent, unfit, in maintenance, just started) or another order is under way. A handover that fails
half-way ends with the old leader serving as before. The new leader is "set by hand": neither priority nor what was known
to be wrong with it moves the VIP away again, only an absolute reason (its link, its end), new trouble, or another order.

It prints how long the VIP was away: the time in which no node answered ARP or neighbour solicitations for it, from the
moment at which the old leader fell silent to the one at which it knew from the new leader's beat that that one answers. The
way of the beat is in it (a fraction of a millisecond), so the figure is rather too long than too short. Who knew the way
already was served all the time, by one or by the other.

Ctrl-C ends the waiting, not the handover. Exit status: 0 the node leads, 1 refused or failed, 2 wrong use.`,
		Example: `  tandem handover
  tandem handover --to lb2
  tandem handover --json | jq .away_ms`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			d, err := api.Dial(socket()).Handover(ctx, api.HandoverOrder{To: to})
			if err != nil {
				return unwaited(ctx, err, "the handover goes on without this command")
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d)
			}
			text := d.Note
			if d.Moved {
				text = moved(d)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the node that shall lead; default: the best standby")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}

func moved(d api.Done) string {
	return fmt.Sprintf("%s leads, handed over from %s in %.1f ms; the VIP was away for %.1f ms (term %d)", d.To, d.From, d.TookMS, d.AwayMS, d.Term)
}

// interruptible ends with ctx, or by Ctrl-C or SIGTERM.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// unwaited says, if err is that nobody waits any more, what goes on all the same.
func unwaited(ctx context.Context, err error, goesOn string) error {
	if ctx.Err() != nil {
		return errors.New("stopped waiting; " + goesOn + "; tandem status tells what came of it")
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
