package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/configs"
)

// newKeygenCommand returns `tandem keygen`.
func newKeygenCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key for the nodes of a cluster",
		Long: `Make a key for the nodes of a cluster: one base64 line of 32 random bytes, which all its nodes share (cluster.key_file).
Whoever has it can join the cluster and take its addresses.

With --out the key goes to a file that only its owner can read; a file that exists is never overwritten.`,
		Example: `  tandem keygen --out /etc/tandem/cluster.key
  scp -p /etc/tandem/cluster.key root@lb2:/etc/tandem/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("out") {
				_, err := io.WriteString(c.OutOrStdout(), configs.NewKey())
				return err
			}
			if out == "" {
				return wrongUse{errors.New("--out is empty; write the path of a new file")}
			}
			return configs.WriteKey(out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the key to this new file, mode 0600")
	return cmd
}
