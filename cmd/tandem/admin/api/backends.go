package api

import (
	"context"
	"fmt"
)

// BackendPath is where backends are set by hand: POST, with a BackendOrder in the body.
const BackendPath = "/v1/backends/set"

// BackendOrder sets one backend by hand, on all nodes and until it is reset. What it leaves out stays as it was set before.
type BackendOrder struct {
	Pool    string `json:"pool"`
	Backend string `json:"backend"`
	State   string `json:"state"`  // ready, drain, maint; empty: as it is
	Weight  int    `json:"weight"` // 1..256; 0: as it is
	Reset   bool   `json:"reset"`  // nothing is set any more
	Reason  string `json:"reason"` // why, for those who look at the status; at most 200 bytes
}

// BackendDone is the answer to a BackendOrder that is in force on this node.
type BackendDone struct {
	Pool    string  `json:"pool"`
	Backend string  `json:"backend"`
	ByHand  *ByHand `json:"by_hand,omitempty"` // left out: nothing
	Active  int64   `json:"active"`            // sessions and requests that the backend has now, on this node
	// Told are the peers that have confirmed it; Untold learn of it when they can be reached.
	Told   []string `json:"told"`
	Untold []string `json:"untold"`
	Note   string   `json:"note,omitzero"` // what else there is to say
}

// SetBackend sets a backend by hand, or returns a *Refusal.
func (c *Client) SetBackend(ctx context.Context, o BackendOrder) (BackendDone, error) {
	var d BackendDone
	err := c.order(ctx, BackendPath, o, &d)
	return d, err
}

func (h *ByHand) String() string {
	s := h.State
	if h.State == "ready" && h.Weight > 0 {
		s = ""
	}
	if h.Weight > 0 {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("weight %d", h.Weight)
	}
	s += " (set by hand"
	if h.Reason != "" {
		s += ": " + h.Reason
	}
	return s + ")"
}
