package main

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// named is a kind without its function, which cannot be compared.
func named(e episode) episode {
	for i := range e.acts {
		e.acts[i].kind.begin = nil
	}
	return e
}

func TestEqualSeedsDrawEqualEpisodes(t *testing.T) {
	a, b := rand.New(rand.NewPCG(7, 0)), rand.New(rand.NewPCG(7, 0))
	met := map[string]bool{}
	for range 500 {
		one, other := named(draw(a, kinds())), named(draw(b, kinds()))
		if !reflect.DeepEqual(one, other) {
			t.Fatalf("%+v and %+v from one seed", one, other)
		}
		for _, c := range one.acts {
			met[c.kind.name] = true
			if c.lasts < c.kind.min || c.lasts > c.kind.max {
				t.Errorf("%s lasts %v, want %v to %v", c.kind.name, c.lasts, c.kind.min, c.kind.max)
			}
		}
		if len(one.acts) == 2 && one.acts[1].at > one.acts[0].lasts {
			t.Errorf("the second fault begins after the first: %+v", one)
		}
	}
	if len(met) != len(kinds()) {
		t.Errorf("%d of %d kinds in 500 episodes", len(met), len(kinds()))
	}
}

func TestAllowedIsUnlimitedOnlyWhenNobodyCanLead(t *testing.T) {
	gone := kind{takes: true, cost: cost{300 * msec, 10 * msec}}
	deaf := kind{bars: true, cost: cost{100 * msec, 10 * msec}}
	torn := kind{cost: cost{200 * msec, 20 * msec}}
	for _, c := range []struct {
		name string
		acts []act
		want cost
	}{
		{"one", []act{{kind: gone}}, cost{300 * msec, 10 * msec}},
		{"the same node twice", []act{{kind: gone}, {kind: gone}}, cost{600*msec + together, 20*msec + together}},
		{"both nodes", []act{{kind: gone}, {kind: gone, node: 1}}, cost{unlimited, 20*msec + together}},
		{"one gone, the standby deaf", []act{{kind: gone}, {kind: deaf}}, cost{unlimited, 20*msec + together}},
		{"one gone and something between them", []act{{kind: gone}, {kind: torn}}, cost{500*msec + together, 30*msec + together}},
	} {
		if got := (episode{acts: c.acts}).allowed(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestVerdictFindsWhatIsWorseThanAllowed(t *testing.T) {
	seen := func(blackout, late, dual time.Duration) sum {
		return sum{cost: cost{100 * msec, 20 * msec}, report: lab.Report{Blackout: blackout, Late: late}, view: lab.View{Dual: lab.Span{Total: dual}}}
	}
	for _, c := range []struct {
		name string
		sum  sum
		bad  int
	}{
		{"as allowed", seen(100*msec, 0, 20*msec), 0},
		{"a longer blackout", seen(101*msec, 0, 0), 1},
		{"the client was late itself", seen(120*msec, 10*msec, 0), 0},
		{"two for longer", seen(0, 0, 21*msec), 1},
		{"both", seen(time.Second, 0, time.Second), 2},
		{"nobody could serve", sum{cost: cost{blackout: unlimited}, report: lab.Report{Blackout: time.Hour}}, 0},
	} {
		if got := c.sum.verdict(); len(got) != c.bad {
			t.Errorf("%s: %q, want %d", c.name, got, c.bad)
		}
	}
}

func TestTotalsSumUp(t *testing.T) {
	all := totals{kinds: map[string]*total{}}
	s := sum{report: lab.Report{Attempts: 100, Failed: 10, Blackout: 50 * msec}, view: lab.View{Dual: lab.Span{Total: 5 * msec}}}
	all.add(episode{acts: []act{{kind: kind{name: "plug"}}}}, s)
	all.add(episode{acts: []act{{kind: kind{name: "plug"}}, {kind: kind{name: "hang"}}}}, s)
	var b bytes.Buffer
	all.print(&b, time.Minute)
	for _, want := range []string{"availability 90.000 %", "180 of 200", "for 10ms in all", "plug   2         1      50ms            5ms         10"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, b.String())
		}
	}
}

func TestWrongUseIsTold(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"now"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), `"now"`) {
		t.Errorf("status %d, %q", code, errs.String())
	}
}
