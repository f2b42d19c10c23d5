package vip_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip"
)

// testLog shows the log with the test's output.
func testLog(t *testing.T) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: t.Output()})
}

func readFile(t *testing.T, cfg vip.Config) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(cfg.RunDir, "vip.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, cfg vip.Config, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(cfg.RunDir, "vip.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}
