package admin

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestWhyIsAnsweredOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	srv := New(path, some, hclog.NewNullLogger())
	at := time.Date(2026, 11, 24, 3, 12, 5, 0, time.UTC)
	srv.Explains(func(_ context.Context, q api.Question) (api.Explanation, error) {
		if q.Last {
			return api.Explanation{}, errors.New("nothing is remembered")
		}
		return api.Explanation{Node: "lb1", Now: []string{"because"}, From: q.From, To: q.To}, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await(t, path)
	c := api.Dial(path)
	e, err := c.Explain(t.Context(), api.Question{From: at, To: at.Add(time.Second)})
	if err != nil || e.Node != "lb1" || !e.From.Equal(at) || !e.To.Equal(at.Add(time.Second)) || len(e.Now) != 1 {
		t.Errorf("Explain = %+v, %v", e, err)
	}
	if _, err := c.Explain(t.Context(), api.Question{Last: true}); err == nil || !strings.Contains(err.Error(), "nothing is remembered") {
		t.Errorf("Explain = %v, want what the daemon says", err)
	}
	if _, err := c.Explain(t.Context(), api.Question{From: at}); err == nil || !strings.Contains(err.Error(), "from") {
		t.Errorf("half a question: %v", err)
	}
}
