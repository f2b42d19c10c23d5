package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// recordVersion is the layout of the record. A record of another version is treated like one that cannot be read.
const recordVersion = 2

// maxRecord is far more than a record has bytes.
const maxRecord = 1 << 20

// record says what a daemon has put, or is about to put, into the kernel. It is written before the kernel is changed, so that it is never too short.
type record struct {
	Version int        `json:"version"`
	Node    string     `json:"node"`
	Links   []recorded `json:"links"`
}

// recorded is what is on one link.
type recorded struct {
	Interface string         `json:"interface"`
	Addresses []netip.Prefix `json:"addresses"`
}

func recordPath(cfg Config) string { return filepath.Join(cfg.RunDir, "vip.json") }

// recordOf is the record of what a configuration may put into the kernel.
func recordOf(cfg Config) *record {
	r := &record{Version: recordVersion, Node: cfg.Node}
	for _, l := range cfg.Links() {
		r.Links = append(r.Links, recorded{l.Interface, l.Addresses})
	}
	return r
}

// with adds what an earlier record lists: it may still be in the kernel.
func (r *record) with(old *record) *record {
	if old == nil {
		return r
	}
	for _, o := range old.Links {
		i := slices.IndexFunc(r.Links, func(l recorded) bool { return l.Interface == o.Interface })
		if i < 0 {
			r.Links = append(r.Links, o)
			continue
		}
		l := &r.Links[i]
		for _, p := range o.Addresses {
			if !slices.Contains(l.Addresses, p) {
				l.Addresses = append(slices.Clip(l.Addresses), p)
			}
		}
	}
	return r
}

// readRecord returns nil if there is no record.
func readRecord(cfg Config) (*record, error) {
	b, err := readFile(recordPath(cfg))
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

// readFile reads a regular file of a sane size, and never waits for a pipe that somebody put there.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxRecord {
		return nil, errors.Join(fmt.Errorf("%s is not a file of at most %d bytes", path, maxRecord), err)
	}
	return io.ReadAll(io.LimitReader(f, maxRecord))
}

func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("version %d, this is version %d", r.Version, recordVersion)
	}
	if len(r.Links) == 0 {
		return nil, errors.New("no interface")
	}
	for _, l := range r.Links {
		if l.Interface == "" {
			return nil, errors.New("no interface")
		}
		if slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return !p.IsValid() }) {
			return nil, errors.New("an address that is none")
		}
	}
	return &r, nil
}

// write replaces the record at once or not at all.
func (r *record) write(cfg Config) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.RunDir, 0o755); err != nil {
		return err
	}
	path := recordPath(cfg)
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // never something that somebody put there
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
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
