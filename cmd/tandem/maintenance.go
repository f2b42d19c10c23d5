package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newMaintenanceCommand returns `tandem maintenance on|off`.
func newMaintenanceCommand(socket func() string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "maintenance",
		Short: "Keep this node from leading (on), or let it lead again (off)",
		Long: `A node in maintenance does not lead, whatever happens, until that is taken back. It is kept over restarts of the daemon
and of the host, and told to the other nodes: status shows it on each. The node goes on listening, probing and beating.

on: a leader hands the VIP over first, and the command returns when that is a fact. If the handover fails the node leads on
and is not in maintenance. The last node that could lead refuses, unless --force is given: then the VIP is let go, and nobody
holds it.

off: the node may lead again. That does not move the VIP by itself, unless the node has a higher priority and
cluster.preempt.

Ctrl-C ends the waiting, not what was asked for. Exit status: 0 it is so, 1 refused or failed, 2 wrong use.`,
		Example: `  tandem maintenance on
  tandem maintenance off`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wrongUse{fmt.Errorf("maintenance is on or off, not %q", args[0])}
		},
		RunE: func(*cobra.Command, []string) error {
			return wrongUse{errors.New("maintenance on, or maintenance off?")}
		},
	}
	cmd.AddCommand(newMaintenanceState(socket, true), newMaintenanceState(socket, false))
	for _, c := range cmd.Commands() {
		refuseArgs(c)
	}
	return cmd
}

func newMaintenanceState(socket func() string, on bool) *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{Use: "off", Short: "Let this node lead again", Example: "  tandem maintenance off"}
	if on {
		cmd = &cobra.Command{Use: "on", Short: "Keep this node from leading; a leader hands over first", Example: "  tandem maintenance on"}
		cmd.Flags().BoolVar(&force, "force", false, "even if nobody is left who could lead: then nobody holds the VIP")
	}
	cmd.Long = cmd.Short + ". See tandem maintenance --help."
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		d, err := api.Dial(socket()).Maintenance(ctx, api.MaintenanceOrder{On: on, Force: force})
		if err != nil {
			return unwaited(ctx, err, "what was asked for goes on without this command")
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), d)
		}
		text := "maintenance is off: this node may lead again; if another one leads, it keeps the VIP, unless this node preempts"
		if on {
			text = "maintenance is on: this node does not lead until tandem maintenance off"
		}
		if d.Moved {
			text += "; " + moved(d)
		}
		if d.Note != "" {
			text += "; " + d.Note
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}
