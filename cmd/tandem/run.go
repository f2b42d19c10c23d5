package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/daemon"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip"
)

// newRunCommand returns `tandem run`: the daemon, in the foreground, until SIGTERM or SIGINT.
func newRunCommand(config func() string) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT.

On SIGTERM a leader hands the VIP over to the standby, or, where there is none, lets its clients finish first
(drain, 30 s by default). A second signal ends it at once; the kernel then silences the VIP by itself.`,
		Example: `  tandem run
  tandem run --config /etc/tandem/tandem.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, warnings, err := configs.Load(config())
			if err != nil {
				return wrongFile{err}
			}
			signal.Ignore(syscall.SIGPIPE) // the end of who reads the log is not the end of this node
			log := newLogger(cfg.Log, c.ErrOrStderr())
			if b, ok := c.ErrOrStderr().(*backlog); ok {
				tellOfLosses(b, log)
			}
			keyErr := readable(cfg)
			for _, w := range warnings {
				if keyErr != nil && w.Text == keyErr.Error() {
					continue // it is the end of this run, and said there
				}
				log.Warn("configuration", "file", config(), "problem", w.String())
			}
			if keyErr != nil {
				return keyErr
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			again := make(chan os.Signal, 1)
			signal.Notify(again, syscall.SIGHUP)
			defer signal.Stop(again)
			return daemon.Run(ctx, cfg, daemon.Source{File: config(), Warnings: warnings, Again: again}, daemon.Version(version), log)
		},
	}
}

// newReleaseCommand returns `tandem release`: what systemd runs after the daemon has ended, however it ended.
func newReleaseCommand(config func() string) *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Remove what a daemon that ended has left in the kernel",
		Long: `Remove what a daemon that ended has left in the kernel: VIPs with a lease, and the rules that silence them.

Safe to run at any time and more than once; systemd runs it after every end of the daemon (ExecStopPost=). It touches
only what run_dir's record says was put there by this node. Beside a living daemon it does nothing, and says so.`,
		Example: `  tandem release --config /etc/tandem/tandem.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := configs.Load(config())
			if err != nil {
				return wrongFile{err}
			}
			lock, err := daemon.Acquire(cfg.RunDir, cfg.Cluster.Bind)
			if errors.Is(err, daemon.ErrRuns) {
				return fmt.Errorf("nothing released: %w", err)
			}
			defer lock.Release()
			v := cfg.VIP
			v.Node, v.RunDir, v.Failover = cfg.Node, cfg.RunDir, cfg.Cluster.Failover
			if cfg.Cluster.Witness {
				_, err = fmt.Fprintln(c.OutOrStdout(), "nothing to release: a witness puts nothing into the kernel")
				return err
			}
			if err := vip.Sweep(v, newLogger(cfg.Log, c.ErrOrStderr())); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "released")
			return err
		},
	}
}

// readable says why the node cannot run for want of its key.
func readable(cfg *configs.Config) error {
	if cfg.Cluster.Insecure {
		return nil
	}
	_, err := configs.ReadKey(cfg.Cluster.KeyFile)
	return err
}

func newLogger(l configs.Log, w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "tandem", Level: hclog.LevelFromString(l.Level), JSONFormat: l.Format == "json", Output: w,
		TimeFormat: "2006-01-02T15:04:05.000000Z07:00",
	})
}

func tellOfLosses(b *backlog, log hclog.Logger) {
	b.onLoss(func(lost int) {
		log.Warn("log lines were lost: whoever reads them was too slow", "count", lost)
	})
}
