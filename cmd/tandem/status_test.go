package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// ask runs `tandem status` with args against the socket and returns what it printed.
func ask(t *testing.T, socket string, args ...string) (string, error) {
	t.Helper()
	cmd := newStatusCommand(func() string { return socket })
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestStatusShowsWhatTheDaemonTells(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tandem.sock")
	if _, err := ask(t, socket); err == nil || !strings.Contains(err.Error(), "tandem is not running") {
		t.Errorf("without a daemon: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	srv := admin.New(socket, func() api.Status {
		return api.Status{Node: "lb1", State: api.Leader, Leader: "lb1", LeaderSince: time.Now(), Reason: "nobody else is there"}
	}, hclog.NewNullLogger())
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var text string
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if text, err = ask(t, socket); err == nil {
			break
		}
	}
	if first, _, _ := strings.Cut(text, "\n"); err != nil || !strings.HasPrefix(first, "lb1 leads since ") || !strings.HasSuffix(first, "nobody else is there") {
		t.Errorf("status said %q, %v", text, err)
	}
	out, err := ask(t, socket, "--json")
	var s api.Status
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Leader != "lb1" || strings.Contains(out, "null") {
		t.Errorf("status --json said %q, %v", out, err)
	}
}
