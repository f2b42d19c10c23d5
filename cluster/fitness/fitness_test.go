package fitness

import (
	"slices"
	"testing"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Inputs
		want Verdict
	}{
		{"all is well", Inputs{LinkUp: true}, Verdict{Fit: true}},
		{"no carrier", Inputs{LinkWhy: "eth0 has no carrier"}, Verdict{Why: "link: eth0 has no carrier"}},
		{"a VIP that cannot be claimed", Inputs{LinkUp: true, Barred: "10.0.0.10 is on it for good"},
			Verdict{Why: "10.0.0.10 is on it for good"}},
		{"down, nobody knows why", Inputs{}, Verdict{Why: "link: down"}},
		{"a listener that cannot open only ranks", Inputs{LinkUp: true, Listeners: []string{"web"}},
			Verdict{Fit: true, Rank: 100, Why: "cannot open listener web"}},
		{"two are worse, and in order", Inputs{LinkUp: true, Listeners: []string{"web", "db"}},
			Verdict{Fit: true, Rank: 200, Why: "cannot open listener db, web"}},
		{"both", Inputs{LinkWhy: "eth0 has no carrier", Listeners: []string{"web"}},
			Verdict{Rank: 100, Why: "link: eth0 has no carrier; cannot open listener web"}},
		{"a data plane that does not work only ranks", Inputs{LinkUp: true, DataPlane: "web: refused"},
			Verdict{Fit: true, Rank: 20000, Why: "cannot connect to itself: web: refused"}},
		{"tracked things add up, in order", Inputs{LinkUp: true, Failing: []Tracked{{"script db", 50, false, false}, {"interface eth1", 7, false, true}, {"file x", 9, false, false}}},
			Verdict{Fit: true, Rank: 7, Slow: 59, Why: "file x fails; interface eth1 fails; script db fails"}},
		{"all that is tracked does not outweigh the data plane", Inputs{LinkUp: true, Failing: slices.Repeat([]Tracked{{"x", 254, false, false}}, 64)},
			Verdict{Fit: true, Slow: 16256}},
		{"an absolute one", Inputs{LinkUp: true, Failing: []Tracked{{"file /x", 50, true, false}}}, Verdict{Slow: 50, Why: "file /x fails"}},
		{"no backend reached", Inputs{LinkUp: true, Pools: []Pool{{"web", 0, 3, 100}}},
			Verdict{Fit: true, Reach: 100, Why: "reaches 0 of 3 backends of pool web"}},
		{"one of three not reached", Inputs{LinkUp: true, Pools: []Pool{{"web", 2, 3, 100}}},
			Verdict{Fit: true, Reach: 30, Why: "reaches 2 of 3 backends of pool web"}},
		{"one of twenty is nothing", Inputs{LinkUp: true, Pools: []Pool{{"web", 19, 20, 100}}}, Verdict{Fit: true}},
		{"two pools, one that does not matter, one empty", Inputs{LinkUp: true, Pools: []Pool{{"b", 0, 1, 20}, {"a", 1, 2, 100}, {"c", 0, 4, 0}, {"d", 0, 0, 9}}},
			Verdict{Fit: true, Reach: 70, Why: "reaches 0 of 1 backends of pool b; reaches 1 of 2 backends of pool a"}},
		{"the rank fits into a beat", Inputs{LinkUp: true, Listeners: make([]string, 10000)}, Verdict{Fit: true, Rank: 60000}},
	} {
		got := Judge(c.in)
		if len(c.in.Listeners)+len(c.in.Failing) > 50 {
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
