package api

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
)

// ExplainPath is where the daemon tells why: what it is now, and, with a ?from= and ?to= (RFC 3339) or ?last=1, the story of that time.
const ExplainPath = "/v1/explain"

// Question is what an explanation is asked for.
type Question struct {
	From, To time.Time // both zero: only of now
	Last     bool      // the last failover or handover to this node
}

// Explanation is why a node is what it is, and what happened at a time that was asked about: the answer to GET /v1/explain.
type Explanation struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	Node   string    `json:"node"`
	Now    []string  `json:"now"` // why it is what it is, in sentences

	From time.Time `json:"from,omitzero"` // the time that was asked about
	To   time.Time `json:"to,omitzero"`
	// Before is the decision that was in force at From; null: none is remembered. Entries are those of the time, in order.
	Before  *journal.Entry  `json:"before"`
	Entries []journal.Entry `json:"entries"`
	Oldest  time.Time       `json:"oldest,omitzero"` // how far back this node remembers
}

// Values writes q as a query.
func (q Question) Values() url.Values {
	v := url.Values{}
	if q.Last {
		v.Set("last", "1")
	}
	if !q.From.IsZero() {
		v.Set("from", q.From.Format(time.RFC3339Nano))
		v.Set("to", q.To.Format(time.RFC3339Nano))
	}
	return v
}

// ParseQuestion reads what Values wrote, or somebody typed.
func ParseQuestion(v url.Values) (Question, error) {
	q := Question{Last: v.Has("last")}
	for key, into := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if !v.Has(key) {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, v.Get(key))
		if err != nil {
			return q, fmt.Errorf("%s is %q, want a time like 2026-11-24T03:12:05Z", key, v.Get(key))
		}
		*into = t
	}
	switch {
	case q.From.IsZero() != q.To.IsZero():
		return q, fmt.Errorf("from and to come together")
	case q.To.Before(q.From):
		return q, fmt.Errorf("to comes before from")
	case q.Last && !q.From.IsZero():
		return q, fmt.Errorf("last has no from and to")
	}
	return q, nil
}

// Explain asks why. It waits at most until ctx ends, or 5 s if ctx has no deadline.
func (c *Client) Explain(ctx context.Context, q Question) (Explanation, error) {
	path := ExplainPath
	if v := q.Values(); len(v) > 0 {
		path += "?" + v.Encode()
	}
	var e Explanation
	if err := c.get(ctx, path, &e); err != nil {
		return Explanation{}, err
	}
	if e.Schema != Schema {
		return Explanation{}, fmt.Errorf("the daemon at %s speaks version %d, this command %d: use the command that came with the daemon", c.socket, e.Schema, Schema)
	}
	return e, nil
}
