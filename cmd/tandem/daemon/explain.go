package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// around is how much of the time before and after a move belongs to its story.
const around = 3 * time.Second

// explainer says why: from what the node is now, and from what it remembers.
type explainer struct {
	node   *cluster.Node
	policy func() election.Policy
	book   interface {
		Entries(ctx context.Context) ([]journal.Entry, error)
	}
}

func (x *explainer) explain(ctx context.Context, q api.Question) (api.Explanation, error) {
	now, policy := time.Now(), x.policy()
	e := api.Explanation{At: now, Node: policy.Name, Now: x.node.Status().Why(policy, now), Entries: []journal.Entry{}}
	es, err := x.book.Entries(ctx)
	if err != nil {
		return e, err
	}
	if len(es) > 0 {
		e.Oldest = es[0].At
	}
	if q.Last {
		m := journal.LastMove(es)
		if m == nil {
			return e, fmt.Errorf("this node remembers no failover or handover to itself%s; another node may have taken over: ask that one", since(e.Oldest))
		}
		q.From, q.To = m.At.Add(-m.Took.Max-around), m.At.Add(around)
	}
	if q.From.IsZero() {
		return e, nil
	}
	if err := remembered(q, e.Oldest, now); err != nil {
		return e, err
	}
	e.From, e.To = q.From, q.To
	before, in := journal.Select(es, q.From, q.To)
	e.Before, e.Entries = before, append(e.Entries, in...)
	return e, nil
}

// remembered says what to do about a time of which nothing can be known here.
func remembered(q api.Question, oldest, now time.Time) error {
	switch {
	case q.From.After(now):
		return fmt.Errorf("%s has not come yet: it is %s here", q.From.Format(time.DateTime), now.Format(time.DateTime))
	case oldest.IsZero():
		return errors.New("this node remembers nothing yet")
	case q.To.Before(oldest):
		return fmt.Errorf("this node remembers nothing before %s; its log may (journalctl -u tandem --since …), or the other node", oldest.Format(time.DateTime))
	}
	return nil
}

func since(oldest time.Time) string {
	if oldest.IsZero() {
		return ""
	}
	return " since " + oldest.Format(time.DateTime)
}
