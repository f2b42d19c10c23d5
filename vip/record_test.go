package vip

import (
	"net/netip"
	"slices"
	"testing"
)

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
