package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadReadsAFileOnThisHost(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.yaml")
	if err := os.WriteFile(file, []byte(minimal(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, cfg)
	for _, w := range warnings {
		if !w.Host || w.File != file {
			t.Errorf("a warning that is not of this host: %s", w)
		}
	}
}

func TestLoadTellsWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
	if _, _, err := Load(dir); err == nil {
		t.Error("a directory was read")
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte("# "+strings.Repeat("a", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(large); err == nil || !strings.Contains(err.Error(), "at most 1048576 bytes are read") {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestLinesOfWindowsAndAByteOrderMarkAreRead(t *testing.T) {
	text := "\ufeff" + strings.ReplaceAll(minimal(t), "\n", "\r\n")
	if _, warnings, err := Parse("f", []byte(text), lab()); err != nil || len(warnings) > 0 {
		t.Error(told(warnings, err))
	}
}

func TestListsWithinBracesKeepTheirPorts(t *testing.T) {
	text := "node: a\ncluster: {bind: 10.0.0.1:7946, peers: [10.0.0.12:7000, 10.0.0.13:7946], insecure: true}\nvip: {interface: eth0, addresses: [2001:db8::10, 10.0.0.10/32]}\n"
	cfg, warnings, err := Parse("f", []byte(text), Host{})
	if err != nil {
		t.Fatal(told(warnings, err))
	}
	if len(cfg.Cluster.Peers) != 2 || cfg.Cluster.Peers[0].String() != "10.0.0.12:7000" || cfg.VIP.Addresses[0].String() != "2001:db8::10/128" {
		t.Errorf("peers %v, addresses %v", cfg.Cluster.Peers, cfg.VIP.Addresses)
	}
}
