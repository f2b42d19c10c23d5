package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/cmd/tandem/doctor"
	"github.com/tandem-lb/tandem/configs"
)

// newDoctorCommand returns `tandem doctor`.
func newDoctorCommand(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this host has everything that a failover needs",
		Long: `Look whether this host has everything that a failover needs: that TCP and UDP pass to each peer, both ways, that links,
sysctls and MTUs fit, who answers for the VIP on the wire and whether the leader's answer arrives, nftables, capabilities,
descriptors, the clock, and who else manages the addresses. Each finding that is not ok says what to do.

It changes nothing. It asks the wire by ARP probes and neighbour solicitations, which change nobody's cache, and connects to
the peers' ports. Run it as root, on every node, while the daemon runs: what only the daemon knows is asked from it.

Exit status: 0 nothing is wrong, 1 something is, 2 the file is wrong.`,
		Example: `  tandem doctor
  tandem doctor --json | jq '.[] | select(.verdict == "wrong")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := configs.Load(o.config())
			if err != nil {
				return wrongFile{err}
			}
			f := doctor.Facts{File: o.config(), Config: cfg, Warnings: warnings}
			if s, err := api.Dial(o.socket()).Status(cmd.Context()); err == nil {
				f.Daemon = &s
			} else {
				f.DaemonErr = err
			}
			doctor.Gather(cmd.Context(), &f)
			all := doctor.Examine(f)
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(all)
			} else {
				err = doctor.Write(cmd.OutOrStdout(), all)
			}
			if err == nil && doctor.Sick(all) {
				err = told{errors.New("something is wrong")}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}
