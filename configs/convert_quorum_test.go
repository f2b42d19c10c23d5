package configs

import (
	"strings"
	"testing"
)

func TestEvenNumberOfVotersIsAWarning(t *testing.T) {
	for _, c := range []struct {
		peers string
		warns bool
	}{
		{"[10.0.0.12:7946, 10.0.0.13:7946]", false},
		{"[10.0.0.12:7946, 10.0.0.13:7946, 10.0.0.14:7946]", true},
	} {
		text := change(t, "peers: [10.0.0.12]", "quorum: true\n  peers: "+c.peers)
		cfg, warnings, err := Parse("f", []byte(text), lab())
		if err != nil || !cfg.Cluster.Quorum {
			t.Fatalf("%s: %v", c.peers, err)
		}
		if got := strings.Contains(told(warnings, nil), "an odd number is better"); got != c.warns {
			t.Errorf("peers %s: warned %v, want %v:\n%s", c.peers, got, c.warns, told(warnings, nil))
		}
	}
}

func TestWitnessNeedsNothingThatItDoesNotHave(t *testing.T) {
	text := `node: w
cluster: {bind: "10.0.0.11:7946", peers: ["10.0.0.12:7946", "10.0.0.13:7946"], insecure: true, quorum: true, witness: true}
`
	cfg, _, err := Parse("f", []byte(text), lab())
	if err != nil || !cfg.Cluster.Witness || len(cfg.VIP.Addresses) > 0 || cfg.Admin.Socket == "" {
		t.Fatalf("Parse = %+v, %v", cfg, err)
	}
}
