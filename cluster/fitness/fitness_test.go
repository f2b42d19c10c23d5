package fitness

import "testing"

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Inputs
		want Verdict
	}{
		{"all is well", Inputs{LinkUp: true, Link: "eth0"}, Verdict{Fit: true}},
		{"no carrier", Inputs{Link: "eth0", LinkWhy: "no carrier"}, Verdict{Why: "link eth0: no carrier"}},
		{"a VIP that cannot be claimed", Inputs{LinkUp: true, Link: "eth0", Barred: "10.0.0.10 is on it for good"},
			Verdict{Why: "10.0.0.10 is on it for good"}},
		{"down, nobody knows why", Inputs{Link: "eth0"}, Verdict{Why: "link eth0: down"}},
		{"a listener that cannot open only ranks", Inputs{LinkUp: true, Listeners: []string{"web"}},
			Verdict{Fit: true, Rank: 100, Why: "cannot open listener web"}},
		{"two are worse, and in order", Inputs{LinkUp: true, Listeners: []string{"web", "db"}},
			Verdict{Fit: true, Rank: 200, Why: "cannot open listener db, web"}},
		{"both", Inputs{Link: "eth0", LinkWhy: "no carrier", Listeners: []string{"web"}},
			Verdict{Rank: 100, Why: "link eth0: no carrier; cannot open listener web"}},
		{"the rank fits into a beat", Inputs{LinkUp: true, Listeners: make([]string, 10000)}, Verdict{Fit: true, Rank: 60000}},
	} {
		got := Judge(c.in)
		if len(c.in.Listeners) > 100 {
			got.Why = ""
		}
		if got != c.want {
			t.Errorf("%s: Judge(%+v) = %+v, want %+v", c.name, c.in, got, c.want)
		}
	}
}

func TestJudgeLeavesItsInputAlone(t *testing.T) {
	names := []string{"b", "a"}
	Judge(Inputs{LinkUp: true, Listeners: names})
	if names[0] != "b" {
		t.Errorf("sorted the caller's slice: %q", names)
	}
}
