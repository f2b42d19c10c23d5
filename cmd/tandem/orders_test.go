package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// oracle follows some orders.
type oracle struct{ asked chan struct{} }

func (o oracle) Handover(ctx context.Context, h api.HandoverOrder, _ string) (api.Done, error) {
	switch h.To {
	case "lb9":
		return api.Done{}, &api.Refusal{Problem: api.Problem{Error: "lb9 is not a node of this cluster", Code: "unknown"}}
	case "slow":
		close(o.asked)
		<-ctx.Done()
		return api.Done{}, ctx.Err()
	}
	return api.Done{Moved: true, From: "lb1", To: "lb2", Term: 7, AwayMS: 0.62, TookMS: 4.21}, nil
}

func (o oracle) Reload(context.Context, string) (api.Reloaded, error) {
	return api.Reloaded{}, errors.New("tandem.yaml:3:7: vip.interface: no\ntandem.yaml:9:1: node: no")
}

func (o oracle) Maintenance(_ context.Context, m api.MaintenanceOrder, _ string) (api.Done, error) {
	if m.On && !m.Force {
		return api.Done{}, &api.Refusal{Problem: api.Problem{Error: "lb1 leads, and nobody else could", Code: "last-fit"}}
	}
	return api.Done{Note: "so it was"}, nil
}

func TestOrdersAreToldExactly(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tandem.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	srv := admin.New(socket, func() api.Status { return api.Status{} }, hclog.NewNullLogger())
	o := oracle{make(chan struct{})}
	srv.Follow(o)
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for range 1000 { // until it serves
		if _, err := api.Dial(socket).Status(t.Context()); !errors.Is(err, api.ErrNotRunning) {
			break
		}
	}
	for _, c := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"handover", 0, "lb2 leads, handed over from lb1 in 4.2 ms; the VIP was away for 0.6 ms (term 7)\n", ""},
		{"handover --to lb2 --json", 0, `"away_ms": 0.62`, ""},
		{"handover --to lb9", 1, "", "tandem: lb9 is not a node of this cluster\n"},
		{"handover lb2", 2, "", "one argument too many"},
		{"maintenance", 2, "", "on, or maintenance off?"},
		{"maintenance maybe", 2, "", `not "maybe"`},
		{"maintenance on", 1, "", "tandem: lb1 leads, and nobody else could\n"},
		{"maintenance on --force", 0, "maintenance is on: this node does not lead until tandem maintenance off; so it was\n", ""},
		{"maintenance off", 0, "maintenance is off", ""},
		{"maintenance off --force", 2, "", "unknown flag"},
		{"maintenance off --json", 0, `"note": "so it was"`, ""},
		{"reload", 1, "", "tandem: tandem.yaml:3:7: vip.interface: no\ntandem.yaml:9:1: node: no\n"},
		{"reload now", 2, "", "one argument too many"},
	} {
		status, stdout, stderr := tandem(t, append(strings.Fields(c.args), "--socket", socket)...)
		if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" || c.stdout == "" && stdout != "" {
			t.Errorf("tandem %s = %d, %q, %q; want %d, %q, %q", c.args, status, stdout, stderr, c.status, c.stdout, c.stderr)
		}
	}

	var out, errs bytes.Buffer
	waiting, interrupt := context.WithCancel(t.Context())
	go func() {
		<-o.asked
		interrupt() // as Ctrl-C does
	}()
	if status := run(waiting, []string{"handover", "--to", "slow", "--socket", socket}, &out, &errs); status != 1 || !strings.Contains(errs.String(), "the handover goes on without this command") {
		t.Errorf("interrupted: %d, %q, %q", status, out.String(), errs.String())
	}
}
