package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newBackendCommand returns `tandem backend drain|maint|ready|weight|reset POOL/NAME`.
func newBackendCommand(socket func() string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "Take a backend out of service, bring it back, or change its weight",
		Long: `Set a backend by hand. It is in force at once, told to the other nodes, and kept over failovers and restarts until
tandem backend reset; tandem status shows it as "set by hand". It can be said on any node; what is said last counts on all. A node that
cannot be reached learns of it when it can.

drain: nothing new; sessions and requests that are there go on. maint: nothing new, and what is there ends at once. ready: back in service, as
far as probes and failures let it. weight: its share of the traffic, 1 to 256. reset: as the file says.

A pool of which all backends are taken out has none: its clients are refused. Exit status: 0 it is so on this node, 1 refused or failed, 2 wrong use.`,
		Example: `  tandem backend drain web/web1 --reason "new disk"
  tandem backend weight web/web2 50
  tandem backend reset web/web1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wrongUse{fmt.Errorf("backend takes drain, maint, ready, weight or reset, not %q", args[0])}
		},
		RunE: func(*cobra.Command, []string) error {
			return wrongUse{errors.New("what shall become of which backend? tandem backend drain|maint|ready|reset POOL/NAME, or weight POOL/NAME N")}
		},
	}
	for _, c := range []struct{ verb, short string }{
		{"drain", "Send nothing new to a backend; what is there goes on"},
		{"maint", "Send nothing new to a backend, and end what is there"},
		{"ready", "Bring a backend back, as far as its probes let it"},
		{"weight", "Change a backend's share of the traffic, 1 to 256"},
		{"reset", "Have a backend as the file says again"},
	} {
		cmd.AddCommand(newBackendVerb(socket, c.verb, c.short))
	}
	return cmd
}

func newBackendVerb(socket func() string, verb, short string) *cobra.Command {
	var reason string
	var asJSON bool
	use, example := verb+" POOL/NAME", "  tandem backend "+verb+" web/web1"
	if verb == "weight" {
		use, example = use+" N", example+" 50"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ". See tandem backend --help.", Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			_, err := backendOrder(verb, args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := backendOrder(verb, args)
			if err != nil {
				return err
			}
			o.Reason = reason
			return setBackend(cmd, socket(), o, asJSON)
		},
	}
	if verb != "reset" {
		cmd.Flags().StringVar(&reason, "reason", "", "why, for those who look at the status; at most 200 bytes")
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}

// backendOrder reads the arguments.
func backendOrder(verb string, args []string) (api.BackendOrder, error) {
	want := 1
	if verb == "weight" {
		want = 2
	}
	if len(args) != want {
		return api.BackendOrder{}, wrongUse{fmt.Errorf("want %d arguments after backend %s, the first is POOL/NAME, not %q", want, verb, strings.Join(args, " "))}
	}
	pool, name, ok := strings.Cut(args[0], "/")
	if !ok || pool == "" || name == "" {
		return api.BackendOrder{}, wrongUse{fmt.Errorf("%q names no backend: write POOL/NAME, as tandem status shows them", args[0])}
	}
	o := api.BackendOrder{Pool: pool, Backend: name}
	switch verb {
	case "weight":
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 || n > 256 {
			return o, wrongUse{fmt.Errorf("the weight %q is not a number from 1 to 256", args[1])}
		}
		o.Weight = n
	case "reset":
		o.Reset = true
	default:
		o.State = verb
	}
	return o, nil
}

func setBackend(cmd *cobra.Command, socket string, o api.BackendOrder, asJSON bool) error {
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	d, err := api.Dial(socket).SetBackend(ctx, o)
	if err != nil {
		return unwaited(ctx, err, "what was asked for goes on without this command")
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), d)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), backendText(d))
	return err
}

func backendText(d api.BackendDone) string {
	text := d.Pool + "/" + d.Backend + ": as the file says"
	if d.ByHand != nil {
		text = d.Pool + "/" + d.Backend + ": " + d.ByHand.String()
	}
	text += fmt.Sprintf("; %d sessions and requests here", d.Active)
	if len(d.Told) > 0 {
		text += "; known to " + strings.Join(d.Told, ", ")
	}
	if len(d.Untold) > 0 {
		text += "; NOT YET CONFIRMED by " + strings.Join(d.Untold, ", ")
	}
	if d.Note != "" {
		text += "; " + d.Note
	}
	return text
}
