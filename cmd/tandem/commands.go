package main

import "github.com/spf13/cobra"

// commands are those that need the daemon, or are it.
func commands(o *options) []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(o.config),
		newStatusCommand(o.socket),
		newExplainCommand(o.socket),
		newDoctorCommand(o),
		newHandoverCommand(o.socket),
		newMaintenanceCommand(o.socket),
		newBackendCommand(o.socket),
		newReloadCommand(o.socket),
		newReleaseCommand(o.config),
	}
}
