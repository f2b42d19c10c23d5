package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newReloadCommand returns `tandem reload`.
func newReloadCommand(socket func() string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration again, without losing a connection",
		Long: `Have the daemon read its file again (the one that it was started with), and return when it is in place. SIGHUP and
systemctl reload tandem do the same.

The file is checked whole, sockets are opened and certificates read; then all of it is put in place, or nothing. No
connection is lost, no beat is late, the VIP does not move. Only what differs is touched: listeners, pools, backends, health,
routes, tls, limits, drain, access_log, log.level, notify, cluster.priority, preempt and preempt_delay. What probes, traffic and
operators have said of a backend stays with its name and address. A listener or backend that is gone from the file takes nothing
new; requests in hand are answered, and what is left after drain is cut. Whatever else differs is refused with its place in the file
and what to do, before anything is touched.

It prints what has changed: a line for each, beginning with + (new), - (gone) or ~ (changed).

Exit status: 0 it is in place, 1 refused, and nothing is changed, 2 wrong use.`,
		Example: `  tandem check && tandem reload
  tandem reload --json | jq -r '.changes[]'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			d, err := api.Dial(socket()).Reload(ctx)
			if err != nil {
				return unwaited(ctx, err, "the reload goes on without this command")
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d)
			}
			for _, w := range d.Warnings {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
			}
			for _, c := range d.Changes {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), c)
			}
			if len(d.Changes) == 0 {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), "nothing is new in the file")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "reloaded in %.1f ms\n", d.TookMS)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}
