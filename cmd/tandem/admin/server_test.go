package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// serve runs a server at path until the returned function is called.
func serve(t *testing.T, path string, status func() api.Status) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(path, status, hclog.NewNullLogger()).Run(ctx) }()
	await(t, path)
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until somebody listens at path.
func await(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return
		}
	}
	t.Fatalf("nobody listens at %s", path)
}

func some() api.Status { return api.Status{Node: "lb1", State: api.Leader, Leader: "lb1"} }

func TestTheStatusIsToldOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "tandem.sock")
	stop := serve(t, path, some)
	s, err := api.Dial(path).Status(t.Context())
	if err != nil || s.Node != "lb1" || s.Schema != api.Schema || s.Peers == nil {
		t.Errorf("Status = %+v, %v", s, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %v (%v), want 0660", info.Mode().Perm(), err)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end the socket is still there: %v", err)
	}
	_, err = api.Dial(path).Status(t.Context())
	if !errors.Is(err, api.ErrNotRunning) || !strings.Contains(err.Error(), "no socket at "+path) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := api.Dial(path).Status(t.Context()); !errors.Is(err, api.ErrNotRunning) || !strings.Contains(err.Error(), "left over") {
		t.Errorf("asking a stale socket: %v", err)
	}
	serve(t, path, some)
	if _, err := api.Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALiveSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	serve(t, path, some)
	err := New(path, some, hclog.NewNullLogger()).Run(t.Context())
	want := fmt.Sprintf("process %d (", os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second server: %v, want an error that names %q and the path", err, want)
	}
	if _, err := api.Dial(path).Status(t.Context()); err != nil {
		t.Errorf("the first server after that: %v", err)
	}
}

func TestAForeignLiveSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := New(path, some, hclog.NewNullLogger()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already serves") {
		t.Errorf("beside a program without our lock: %v", err)
	}
}

func TestAFileIsNeverRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(path, some, hclog.NewNullLogger()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Run = %v, want an error that says it is not a socket", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("the file now holds %q", got)
	}
	if _, err := api.Dial(path).Status(t.Context()); err == nil {
		t.Error("a file answered")
	}
}

func TestALongPathIsRefused(t *testing.T) {
	path := "/tmp/" + strings.Repeat("x", 200)
	if err := New(path, some, hclog.NewNullLogger()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("Run = %v", err)
	}
	if _, err := api.Dial(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("Status = %v", err)
	}
}

func TestOfManyAtOnceOneServes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 16
	errs := make(chan error, n)
	for range n {
		go func() { errs <- New(path, some, hclog.NewNullLogger()).Run(ctx) }()
	}
	for range n - 1 {
		if err := <-errs; err == nil {
			t.Error("a loser ended without an error")
		}
	}
	if _, err := api.Dial(path).Status(t.Context()); err != nil {
		t.Errorf("the winner: %v", err)
	}
	cancel()
	if err := <-errs; err != nil {
		t.Errorf("the winner ended with %v", err)
	}
}

func TestWhatIsNoQuestionAndNoOrderIsRefused(t *testing.T) {
	srv := New("", some, hclog.NewNullLogger())
	srv.Follow(&follower{})
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", api.StatusPath, "", 200}, {"HEAD", api.StatusPath, "", 200}, {"POST", api.StatusPath, "", 405}, {"DELETE", api.StatusPath, "", 405},
		{"GET", "/", "", 404}, {"GET", "/v2/status", "", 404},
		{"GET", api.HandoverPath, "", 405}, {"POST", api.HandoverPath, "", 400}, {"POST", api.HandoverPath, `{"too": "lb2"}`, 400},
		{"POST", api.HandoverPath, `{"to": "` + strings.Repeat("x", maxOrder) + `"}`, 400}, {"POST", api.HandoverPath, `{"to": "lb2"}`, 200},
		{"POST", api.MaintenancePath, `{"on": true}`, 409}, {"PUT", api.MaintenancePath, `{"on": true}`, 405},
	} {
		w := &recorder{header: http.Header{}}
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://tandem"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		srv.handler().ServeHTTP(w, req)
		if w.code != c.code {
			t.Errorf("%s %s %.30s = %d, want %d: %s", c.method, c.path, c.body, w.code, c.code, w.body.String())
		}
	}
}

// follower hands over, and refuses maintenance.
type follower struct {
	to, by string
	wait   chan struct{} // nil, or what it waits for, unless its context ends
}

func (f *follower) Handover(ctx context.Context, o api.HandoverOrder, by string) (api.Done, error) {
	f.to, f.by = o.To, by
	if f.wait != nil {
		<-ctx.Done()
		close(f.wait)
		return api.Done{}, ctx.Err()
	}
	return api.Done{Moved: true, From: "lb1", To: "lb2", Term: 7, AwayMS: 0.5}, nil
}

func (f *follower) Reload(_ context.Context, by string) (api.Reloaded, error) {
	return api.Reloaded{Changes: []string{"by " + by}}, nil
}

func (f *follower) Maintenance(context.Context, api.MaintenanceOrder, string) (api.Done, error) {
	return api.Done{}, &api.Refusal{Problem: api.Problem{Error: "nobody else could\x1b lead", Code: "last-fit"}}
}

func TestOrdersAreFollowedAndWhoAsksIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	f := &follower{}
	serveOrders(t, path, f)
	d, err := api.Dial(path).Handover(t.Context(), api.HandoverOrder{To: "lb2"})
	if err != nil || !d.Moved || d.To != "lb2" || d.Term != 7 || d.AwayMS != 0.5 || f.to != "lb2" {
		t.Errorf("Handover = %+v, %v", d, err)
	}
	if want := fmt.Sprintf("uid %d, pid %d", os.Getuid(), os.Getpid()); f.by != want {
		t.Errorf("asked by %q, want %q", f.by, want)
	}
	if d, err := api.Dial(path).Reload(t.Context()); err != nil || len(d.Changes) != 1 || d.Changes[0] != "by "+f.by {
		t.Errorf("Reload = %+v, %v", d, err)
	}
	_, err = api.Dial(path).Maintenance(t.Context(), api.MaintenanceOrder{On: true})
	if r, ok := errors.AsType[*api.Refusal](err); !ok || r.Code != "last-fit" || r.Error() != "nobody else could? lead" {
		t.Errorf("Maintenance = %v, want the refusal", err)
	}
}

func TestWhoeverStopsWaitingIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	f := &follower{wait: make(chan struct{})}
	serveOrders(t, path, f)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := api.Dial(path).Handover(ctx, api.HandoverOrder{}); err == nil {
		t.Error("answered before the end")
	}
	<-f.wait
}

func serveOrders(t *testing.T, path string, o Orders) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := New(path, some, hclog.NewNullLogger())
	s.Follow(o)
	go func() { done <- s.Run(ctx) }()
	await(t, path)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

type recorder struct {
	header http.Header
	code   int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func TestASlowClientDoesNotHoldTheEndUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.sock")
	stop := serve(t, path, some)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	stop()
	if d := time.Since(before); d > 3*goodbye {
		t.Errorf("the end took %v", d)
	}
}
