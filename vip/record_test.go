package vip

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
)

func TestRecordIsReadAndReplacedWhateverLiesThere(t *testing.T) {
	cfg := Config{Node: "lb1", Interface: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.10/32")}, RunDir: t.TempDir()}
	path := recordPath(cfg)
	for _, c := range []struct {
		name string
		put  func(path string) error
	}{
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }}, // opening it would wait for ever
		{"a huge file", func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<40)
		}},
		{"a link to itself", func(path string) error { return os.Symlink(path, path) }},
	} {
		for _, path := range []string{path, path + ".new"} {
			_ = os.Remove(path)
			if err := c.put(path); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := readRecord(cfg); err == nil {
			t.Errorf("%s: readRecord = %+v, want an error", c.name, r)
		}
		want := recordOf(cfg)
		if err := want.write(cfg); err != nil {
			t.Errorf("%s: write: %v", c.name, err)
		}
		if got, err := readRecord(cfg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: then readRecord = %+v, %v, want %+v", c.name, got, err, want)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":2,"node":"lb1","links":[{"interface":"eth0","addresses":["10.0.0.10/32"]},{"interface":"eth1","addresses":["2001:db8::10/128"]}]}`))
	f.Add([]byte(`{"version":3,"links":[{"interface":"eth0"}]}`)) // of a later version
	f.Add([]byte(`{"version":1,"interface":"eth0","addresses":["10.0.0.10/32"]}`))
	f.Add([]byte(`{"version":2,"links":[{"interface":"eth0","addresses":[""]}]}`))
	f.Add([]byte(`{"version":2,"li`)) // torn
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if r.Version != recordVersion || len(r.Links) == 0 {
			t.Errorf("parseRecord(%q) = %+v", b, r)
		}
		for _, l := range r.Links {
			if l.Interface == "" || slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return !p.IsValid() }) {
				t.Errorf("parseRecord(%q) = %+v", b, r)
			}
		}
	})
}
