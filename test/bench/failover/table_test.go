package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpreadIsMedianAndLargest(t *testing.T) {
	for _, c := range []struct {
		values          []float64
		median, largest float64
	}{
		{nil, 0, 0}, {[]float64{7}, 7, 7}, {[]float64{9, 1, 5}, 5, 9}, {[]float64{4, 1, 2, 9}, 3, 9},
	} {
		var runs []result
		for _, v := range c.values {
			runs = append(runs, result{Blackout: v})
		}
		if median, largest := spread(runs, blackout); median != c.median || largest != c.largest {
			t.Errorf("spread(%v) = %v, %v, want %v, %v", c.values, median, largest, c.median, c.largest)
		}
	}
}

func TestGoalIsMissedByWhatItForbids(t *testing.T) {
	for _, c := range []struct {
		name string
		goal goal
		run  result
		want bool
	}{
		{"blackout kept", goal{blackout: 20 * time.Millisecond}, result{Blackout: 20}, false},
		{"blackout missed", goal{blackout: 20 * time.Millisecond}, result{Blackout: 21}, true},
		{"dual not asked for", goal{}, result{Dual: 500}, false},
		{"no dual at all wanted", goal{checkDual: true}, result{Dual: 2}, true},
		{"one failed", goal{unfailed: true}, result{Failed: 1}, true},
		{"moved", goal{still: true}, result{Moves: 1}, true},
		{"not served", goal{served: true}, result{Clients: 4, Unserved: 1}, true},
		{"moved too often", goal{atMost: 1}, result{Moves: 2}, true},
		{"moved as often as it may", goal{atMost: 1}, result{Moves: 1}, false},
		{"one run worse than any may be", goal{worst: 50 * time.Millisecond}, result{Blackout: 51}, true},
		{"a SYN sent again", goal{slowest: 50 * time.Millisecond}, result{Slowest: 1004}, true},
		{"answered too long", goal{lapse: 260 * time.Millisecond}, result{Lapse: 270}, true},
		{"swallowed instead of refused", goal{lapse: 260 * time.Millisecond}, result{Lapse: 200, Hanging: 1}, true},
		{"claimed late", goal{claimed: 250 * time.Millisecond}, result{Claimed: 251}, true},
		{"healed late", goal{heal: 50 * time.Millisecond}, result{Healed: 51}, true},
		{"a gate lapsed", goal{unlapsed: true}, result{Lapses: 1}, true},
		{"busy", goal{cpu: 4}, result{CPU: 4.5}, true},
		{"fat", goal{memory: 40}, result{Memory: 41}, true},
		{"not survived", goal{}, result{Lost: true}, true},
	} {
		if got := c.goal.misses([]result{c.run}); len(got) > 0 != c.want {
			t.Errorf("%s: missed %v, want %v", c.name, got, c.want)
		}
	}
}

func TestInterruptedMeasurementGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "failover.jsonl")
	s, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	for run := range 2 {
		if err := s.add(result{Fault: "plug", System: reference, Run: run, Blackout: 200}); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = load(path); err != nil {
		t.Fatal(err)
	}
	p, err := parse([]string{"-fault", "plug", "-system", reference, "-runs", "3"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if jobs := p.jobs(s); len(jobs) != 1 || jobs[0].run != 2 {
		t.Errorf("left to do: %v, want the third run only", jobs)
	}
	if err := s.drop(func(r result) bool { return r.Run == 0 }); err != nil {
		t.Fatal(err)
	}
	if s, err = load(path); err != nil || len(s.results) != 1 {
		t.Errorf("after dropping one of two: %v (%v)", s.results, err)
	}
}

func TestUnknownFaultIsToldWithTheKnownOnes(t *testing.T) {
	_, err := parse([]string{"-fault", "earthquake"}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "earthquake") || !strings.Contains(err.Error(), "kill9-idle") {
		t.Errorf("error %v, want the fault and the known ones", err)
	}
}

func TestTableShowsRatioAndMissedGoals(t *testing.T) {
	s := &store{results: []result{
		{Fault: "plug", System: "tandem", Attempts: 9, Blackout: 400},
		{Fault: "plug", System: "keepalived-1s", Attempts: 9, Blackout: 3000},
		{Fault: "heal", System: "tandem", Clients: 4},
	}}
	var b bytes.Buffer
	if missed := show(&b, s, faults(), systems()); missed != 1 {
		t.Errorf("%d goals missed, want 1", missed)
	}
	for _, want := range []string{"400 (400)", "7.5", "MISSED: blackout 400 ms", "after 1 of 1 heals"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}
