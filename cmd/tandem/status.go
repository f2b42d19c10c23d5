package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newStatusCommand returns `tandem status`. socket is asked when the command runs, after the flags are read.
func newStatusCommand(socket func() string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who leads, since when and why; peers, VIPs, pools and the last failovers",
		Long: `Show what the daemon on this host knows: who leads, since when and why; what is wrong; its peers, VIPs, listeners,
backends, and the last moves of the VIP with the time that each took.

It asks over the daemon's socket, so it needs to run as root or as a member of the daemon's group. Exit status 0
means that the daemon answered, whatever it said; 1 that it did not.`,
		Example: `  tandem status
  tandem status --json | jq -r .leader`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := api.Dial(socket()).Status(cmd.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				return api.WriteText(cmd.OutOrStdout(), s, time.Now())
			}
			s.Complete()
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}
