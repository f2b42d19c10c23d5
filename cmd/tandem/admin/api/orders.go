package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Where an operator's orders go: POST, with JSON in the body.
const (
	HandoverPath    = "/v1/handover"
	MaintenancePath = "/v1/maintenance"
)

// OrderTime is how long the daemon takes at most to answer an order.
const OrderTime = 12 * time.Second

// HandoverOrder asks for a planned move of the VIP.
type HandoverOrder struct {
	To string `json:"to"` // the node that shall lead; empty: the best standby
}

// MaintenanceOrder says whether the node that is asked may lead.
type MaintenanceOrder struct {
	On    bool `json:"on"`
	Force bool `json:"force"` // even if nobody is left who could lead
}

// Done is the answer to an order that is a fact now.
type Done struct {
	Moved bool   `json:"moved"` // the VIP went from one node to another
	From  string `json:"from"`  // who held before, and
	To    string `json:"to"`    // who holds now; both empty if the order was not about that
	Term  uint64 `json:"term"`
	// AwayMS is how long nobody answered ARP and ND for the VIP: from the moment at which From fell silent until From knew from To's beat that To
	// answers. The way of that beat is in it, so it is rather too long than too short. 0: From answered until To did.
	AwayMS float64 `json:"away_ms"`
	TookMS float64 `json:"took_ms"` // from the order to the fact
	Note   string  `json:"note"`    // what else there is to say
}

// Refusal is the error of an order that was not followed, or did not come to its end. It says why, and what is so instead.
type Refusal struct{ Problem }

func (r *Refusal) Error() string { return clean(r.Problem.Error) }

// Handover asks for a planned move of the VIP, and returns when it is a fact, or with a *Refusal. When ctx ends first, the move goes on.
func (c *Client) Handover(ctx context.Context, o HandoverOrder) (Done, error) {
	var d Done
	err := c.order(ctx, HandoverPath, o, &d)
	return d, err
}

// Maintenance says whether the node that is asked may lead, and returns when that is a fact, or with a *Refusal.
func (c *Client) Maintenance(ctx context.Context, o MaintenanceOrder) (Done, error) {
	var d Done
	err := c.order(ctx, MaintenancePath, o, &d)
	return d, err
}

func (c *Client) order(ctx context.Context, path string, o, into any) error {
	ctx, cancel := context.WithTimeout(ctx, OrderTime+time.Second)
	defer cancel()
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tandem"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	status, answer, err := c.do(req)
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict:
		r := &Refusal{}
		if err := json.Unmarshal(answer, &r.Problem); err != nil {
			return fmt.Errorf("the answer from %s is not what a tandem says: %w", c.socket, err)
		}
		return r
	}
	return c.read(status, answer, into)
}
