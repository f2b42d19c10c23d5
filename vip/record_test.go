package vip

import "testing"

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"node":"lb1","interface":"eth0","addresses":["10.0.0.10/32","2001:db8::10/128"]}`))
	f.Add([]byte(`{"version":2,"interface":"eth0"}`)) // of a later version
	f.Add([]byte(`{"version":1,"interface":"eth0","addresses":[""]}`))
	f.Add([]byte(`{"version":1,"inter`)) // torn
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if r.Version != recordVersion || r.Interface == "" {
			t.Errorf("parseRecord(%q) = %+v", b, r)
		}
		for _, p := range r.Addresses {
			if !p.IsValid() {
				t.Errorf("parseRecord(%q) = %+v", b, r)
			}
		}
	})
}
