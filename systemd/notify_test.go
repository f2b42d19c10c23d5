package systemd

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// manager is a service manager's socket.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c := listen(t, path)
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// next returns the next message that has already arrived; empty if there is none.
func next(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	// Datagrams on a Unix socket are there when send returns; the deadline only ends a vain wait.
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func TestTheManagerIsTold(t *testing.T) {
	c := manager(t)
	log := hclog.NewNullLogger()
	Ready(log)
	Status(log, "leads\nREADY=0\x00 é \xff")
	Stopping(log)
	for _, want := range []string{"READY=1", "STATUS=leads READY=0  é ?", "STOPPING=1"} {
		if got := next(t, c); got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
}

func TestWithoutAManagerNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &out})
	Ready(log)
	f := NewFeeder(log)
	f.Feed()
	if f.Every() != 0 || out.Len() != 0 {
		t.Errorf("Every = %v, log %q, want 0 and silence", f.Every(), &out)
	}
}

func TestABadSocketNameIsTold(t *testing.T) {
	for _, name := range []string{"vsock:2:1234", "notify", "/nowhere/notify", "/" + strings.Repeat("x", 200)} {
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "1000000")
		var out bytes.Buffer
		log := hclog.New(&hclog.LoggerOptions{Output: &out})
		Ready(log)
		NewFeeder(log).Feed()
		if !strings.Contains(out.String(), "service manager not told") || !strings.Contains(out.String(), "watchdog not fed") {
			t.Errorf("NOTIFY_SOCKET=%s: log %q", name, &out)
		}
	}
}

// feeder returns a feeder for a watchdog with the given patience.
func feeder(t *testing.T, usec string, log hclog.Logger) *Feeder {
	t.Helper()
	t.Setenv("WATCHDOG_USEC", usec)
	t.Setenv("WATCHDOG_PID", "")
	f := NewFeeder(log)
	t.Cleanup(func() { f.sock.close() })
	return f
}

func TestTheWatchdogIsFedSparingly(t *testing.T) {
	c := manager(t)
	f := feeder(t, "3600000000", hclog.NewNullLogger())
	if f.Every() != 15*time.Minute {
		t.Errorf("Every = %v for a patience of 1h, want 15m", f.Every())
	}
	for range 1000 {
		f.Feed()
	}
	if got := next(t, c); got != "WATCHDOG=1" {
		t.Errorf("message %q, want WATCHDOG=1", got)
	}
	if got := next(t, c); got != "" {
		t.Errorf("fed twice within a moment: %q", got)
	}
	f.last = f.last.Add(-f.Every())
	f.Feed()
	if got := next(t, c); got != "WATCHDOG=1" {
		t.Errorf("a quarter of the patience later: message %q, want WATCHDOG=1", got)
	}
}

func TestAnotherProcesssWatchdogIsNotFed(t *testing.T) {
	manager(t)
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	if f := NewFeeder(hclog.NewNullLogger()); f.Every() != 0 {
		t.Errorf("Every = %v for process 1's watchdog, want 0", f.Every())
	}
}

func TestAManagerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	manager(t)
	var out bytes.Buffer
	f := feeder(t, "4", hclog.New(&hclog.LoggerOptions{Output: &out})) // feeds every microsecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			f.last = time.Time{}
			f.Feed()
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Feed waits for the service manager")
	}
	if n := strings.Count(out.String(), "watchdog not fed"); n != 1 {
		t.Errorf("told %d times, want once: %s", n, &out)
	}
}

func TestAReplacedManagerIsFoundAgain(t *testing.T) {
	c := manager(t)
	f := feeder(t, "4", hclog.NewNullLogger())
	f.Feed()
	path := c.LocalAddr().String()
	c.Close()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	c = listen(t, path)
	f.last = time.Time{}
	f.Feed()
	if got := next(t, c); got != "WATCHDOG=1" {
		t.Errorf("the new manager got %q, want WATCHDOG=1", got)
	}
}
