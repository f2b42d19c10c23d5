package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon serves h on a socket and returns its path.
func daemon(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tandem.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { srv.Close() })
	return path
}

func TestStrangeAnswersAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		body string
		want string
	}{
		"refusal":       {403, `{"error": "not \u001b[31myou"}`, "refused: not ?[31myou"},
		"foreign":       {502, `<html>`, "502 Bad Gateway"},
		"not JSON":      {200, `hello`, "not what a tandem says"},
		"other version": {200, `{"schema": 7}`, "speaks version 7"},
		"endless":       {200, strings.Repeat(" ", maxAnswer+1), "larger than 8 MiB"},
	} {
		path := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte(c.body))
		})
		if _, err := Dial(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that contains %q", name, err, c.want)
		}
	}
}

func TestAHungDaemonIsToldAsSuch(t *testing.T) {
	free := make(chan struct{})
	path := daemon(t, func(http.ResponseWriter, *http.Request) { <-free })
	defer close(free)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Dial(path).Status(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "it hangs") {
		t.Errorf("Status = %v, want a deadline and a word about hanging", err)
	}
}

func TestWhoMayAskIsTold(t *testing.T) {
	// Root is refused nothing, so the refusal is made by hand.
	path := daemon(t, nil)
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	refusal := &url.Error{Op: "Get", URL: "http://tandem/v1/status",
		Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	wants := []string{"permission denied: ", path, "mode 0660", "ask as root"}
	if os.Getgid() == 0 {
		err := Dial(path).explain(refusal)
		if strings.Contains(err.Error(), "usermod") || strings.Contains(err.Error(), "Get ") {
			t.Errorf("%q proposes to join the group root, or names the request", err)
		}
		if err := os.Chown(path, -1, 4242); err != nil {
			t.Skip("the socket cannot be given to a group: ", err)
		}
		wants = append(wants, "group 4242", "usermod -aG")
	} else {
		wants = append(wants, "group "+groupName(uint32(os.Getgid())), "usermod -aG")
	}
	err := Dial(path).explain(refusal)
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not contain %q", err, want)
		}
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v is not ErrPermission", err)
	}
	if got := whoMay(filepath.Join(t.TempDir(), "hidden", "tandem.sock")); !strings.Contains(got, "belongs to user") {
		t.Errorf("of a socket out of sight: %q, want its directory's owner", got)
	}
}
