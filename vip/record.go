package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// recordVersion is the layout of the record. A record of another version is treated like one that cannot be read.
const recordVersion = 1

// record says what a daemon has put, or is about to put, into the kernel. It is written before the kernel is changed, so that it is never too short.
type record struct {
	Version   int            `json:"version"`
	Node      string         `json:"node"`
	Interface string         `json:"interface"`
	Addresses []netip.Prefix `json:"addresses"`
}

func recordPath(cfg Config) string { return filepath.Join(cfg.RunDir, "vip.json") }

// readRecord returns nil if there is no record.
func readRecord(cfg Config) (*record, error) {
	b, err := os.ReadFile(recordPath(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", recordPath(cfg), err)
	}
	return r, nil
}

func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("version %d, this is version %d", r.Version, recordVersion)
	}
	if r.Interface == "" {
		return nil, errors.New("no interface")
	}
	for _, p := range r.Addresses {
		if !p.IsValid() {
			return nil, errors.New("an address that is none")
		}
	}
	return &r, nil
}

// writeRecord replaces the record at once or not at all.
func writeRecord(cfg Config) error {
	b, err := json.Marshal(record{recordVersion, cfg.Node, cfg.Interface, cfg.Addresses})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.RunDir, 0o755); err != nil {
		return err
	}
	path := recordPath(cfg)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func removeRecord(cfg Config) error {
	if err := os.Remove(recordPath(cfg)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
