package admin

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	serve(t, path, some)
	for i := range 3 * maxConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 { // and some have begun to ask
			if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost:"); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout/2) // they are closed after timeout
	defer cancel()
	if s, err := api.Dial(path).Status(ctx); err != nil || s.Node != "lb1" {
		t.Errorf("Status = %+v, %v", s, err)
	}
}

// crowded is a room for three with a first guest in it that is busy.
func crowded(t *testing.T) (r *room, busy *guest, next func() *guest) {
	t.Helper()
	r = &room{most: 3}
	next = func() *guest {
		c, there := net.Pipe()
		t.Cleanup(func() { _, _ = c.Close(), there.Close() })
		return &guest{Conn: c, room: r}
	}
	busy = next()
	r.enter(busy)
	busy.busy = true
	return r, busy, next
}

func TestWhoIsIdleForLongestGivesWay(t *testing.T) {
	r, busy, next := crowded(t)
	a, b, c, d := next(), next(), next(), next()
	if r.enter(a) != nil || r.enter(b) != nil {
		t.Fatal("somebody had to go though there was room")
	}
	if out := r.enter(c); out != a {
		t.Errorf("%p had to go, want the first that is not busy", out)
	}
	b.busy, c.busy = true, true
	if out := r.enter(d); out != d {
		t.Errorf("%p had to go though all are busy, want the new one", out)
	}
	if err := busy.Close(); err != nil {
		t.Error(err)
	}
	if out := r.enter(d); out != nil {
		t.Errorf("%p had to go though one has left", out)
	}
	_ = a.Close()
	if len(r.guests) != 3 {
		t.Errorf("%d guests, want 3: who has gone goes once", len(r.guests))
	}
}

func TestAnAnswerUnderWayIsNotCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	asked, answer := make(chan struct{}), make(chan struct{})
	serve(t, path, func() api.Status {
		close(asked)
		<-answer
		return some()
	})
	got := make(chan error, 1)
	go func() {
		_, err := api.Dial(path).Status(t.Context())
		got <- err
	}()
	<-asked
	for range 2 * maxConns {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	close(answer)
	if err := <-got; err != nil {
		t.Errorf("an answer that was under way when a crowd came: %v", err)
	}
}
