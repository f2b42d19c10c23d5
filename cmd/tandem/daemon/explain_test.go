package daemon

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

type book []journal.Entry

func (b book) Entries(context.Context) ([]journal.Entry, error) { return b, nil }

func TestTheStoryOfATimeHasTheDecisionThatWasInForce(t *testing.T) {
	now := time.Now()
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	decision := func(ago time.Duration, r election.Reason) journal.Entry {
		return journal.Entry{At: at(ago), Decision: &journal.Decision{Reason: r}}
	}
	all := book{
		decision(3*time.Hour, election.ReasonSettling),
		decision(2*time.Hour, election.ReasonPeerHolds),
		{At: at(2 * time.Hour), Last: at(time.Hour), Count: 7, Event: &journal.Event{What: "storm"}},
		{At: at(time.Minute), Move: &journal.Move{Kind: journal.Failover, At: at(time.Minute), Took: journal.Exactly(200 * time.Millisecond)}},
		decision(time.Minute, election.ReasonCrashed),
	}
	x := &explainer{
		node: cluster.New(cluster.Options{Log: hclog.NewNullLogger()}), policy: func() election.Policy { return election.Policy{Name: "lb2"} }, book: all,
	}
	ask := func(q api.Question) (string, error) {
		e, err := x.explain(t.Context(), q)
		var out []string
		if e.Before != nil {
			out = append(out, "before: "+string(e.Before.Decision.Reason))
		}
		for _, e := range e.Entries {
			switch {
			case e.Decision != nil:
				out = append(out, string(e.Decision.Reason))
			case e.Event != nil:
				out = append(out, e.Event.What)
			default:
				out = append(out, "move")
			}
		}
		return strings.Join(out, ", "), err
	}
	for _, c := range []struct {
		name      string
		q         api.Question
		want, err string
	}{
		{"now", api.Question{}, "", ""},
		{"last", api.Question{Last: true}, "before: peer-holds, move, peer-crashed", ""},
		{"a quiet time", api.Question{From: at(30 * time.Minute), To: at(20 * time.Minute)}, "before: peer-holds", ""},
		{"amid a storm", api.Question{From: at(90 * time.Minute), To: at(80 * time.Minute)}, "before: peer-holds, storm", ""},
		{"before all", api.Question{From: at(5 * time.Hour), To: at(4 * time.Hour)}, "", "remembers nothing before"},
		{"the future", api.Question{From: at(-time.Hour), To: at(-2 * time.Hour)}, "", "has not come yet"},
	} {
		got, err := ask(c.q)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v; want %q, %q", c.name, got, err, c.want, c.err)
		}
	}
	x.book = all[:2]
	if _, err := ask(api.Question{Last: true}); err == nil || !strings.Contains(err.Error(), "no failover or handover") {
		t.Errorf("without a move: %v", err)
	}
}
