package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ReloadPath is where the order goes to read the configuration again: POST, without a body.
const ReloadPath = "/v1/reload"

// Reloaded says what a reload has changed.
type Reloaded struct {
	// Changes are lines such as "~ pool web: balance round-robin -> least-conn"; empty: nothing was new.
	Changes  []string `json:"changes"`
	Warnings []string `json:"warnings"`
	TookMS   float64  `json:"took_ms"`
}

// Reload has the daemon read its configuration again, and returns when that is in place, or with a *Refusal of which each line is a reason; then nothing has changed.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	ctx, cancel := context.WithTimeout(ctx, OrderTime+time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tandem"+ReloadPath, nil)
	if err != nil {
		return Reloaded{}, err
	}
	var d Reloaded
	status, answer, err := c.do(req)
	switch {
	case err != nil:
		return Reloaded{}, err
	case status == http.StatusConflict:
		r := &refusedReload{}
		if err := json.Unmarshal(answer, &r.Problem); err != nil {
			return Reloaded{}, fmt.Errorf("the answer from %s is not what a tandem says: %w", c.socket, err)
		}
		return Reloaded{}, r
	}
	return d, c.read(status, answer, &d)
}

// refusedReload keeps the lines apart.
type refusedReload struct{ Refusal }

func (r *refusedReload) Error() string {
	var lines []string
	for line := range strings.SplitSeq(r.Problem.Error, "\n") {
		lines = append(lines, clean(line))
	}
	return strings.Join(lines, "\n")
}
