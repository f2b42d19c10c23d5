package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBulkArrivesWholeBothWays(t *testing.T) {
	const size = 24 << 20 // beyond several splices
	want := noise(size)
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		var wg sync.WaitGroup
		wg.Go(func() { c.Write(want); c.CloseWrite() })
		h := sha256.New()
		io.Copy(h, c)
		if !bytes.Equal(h.Sum(nil), sum(want)) {
			t.Error("the backend got other bytes")
		}
		wg.Wait()
	}))
	c := l.dial()
	var wg sync.WaitGroup
	wg.Go(func() { c.Write(want); c.CloseWrite() })
	got, err := io.ReadAll(c)
	wg.Wait()
	if err != nil || !bytes.Equal(sum(got), sum(want)) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, size)
	}
}

func sum(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

func TestBackendMayEndFirst(t *testing.T) {
	got := make(chan string, 1)
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		io.WriteString(c, "bye")
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}))
	c := l.dial()
	if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
		t.Fatalf("read %q, %v", b, err)
	}
	io.WriteString(c, "still here") // the other direction lives on
	c.CloseWrite()
	if b := <-got; b != "still here" {
		t.Errorf("the backend got %q after its own half-close", b)
	}
}

func TestResetTravelsThrough(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 1))
		c.SetLinger(0)
	}))
	c := l.dial()
	io.WriteString(c, "x")
	if _, err := io.ReadAll(c); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("client sees %v, want a reset", err)
	}

	seen := make(chan error, 1)
	l = newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		io.WriteString(c, "hello")
		_, err := io.ReadAll(c)
		seen <- err
	}))
	c = l.dial()
	io.ReadFull(c, make([]byte, 5))
	c.SetLinger(0)
	c.Close()
	if err := <-seen; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("backend sees %v, want a reset", err)
	}
}

func TestTCPTriesOtherBackends(t *testing.T) {
	good := tcpBackend(t, func(c *net.TCPConn) { io.WriteString(c, "ok") })
	l := newLab(t, ListenerConfig{Protocol: TCP}, freeAddr(t), freeAddr(t), good)
	for range 3 {
		if b, err := io.ReadAll(l.dial()); err != nil || string(b) != "ok" {
			t.Fatalf("got %q, %v", b, err)
		}
	}
	l.pools.SetUp("web", "c", false, "refused")
	conn, err := net.Dial("tcp", l.addr)
	if err == nil { // the reset can be so quick that it meets the dialling
		_, err = io.ReadAll(conn)
		conn.Close()
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("without any backend the client sees %v, want a reset", err)
	}
}

func TestSessionsEndWithTheirBackend(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		io.WriteString(c, "x")
		io.Copy(io.Discard, c)
	}))
	c := l.dial()
	io.ReadFull(c, make([]byte, 1))
	if n := l.proxy.Active(); n != 1 {
		t.Errorf("%d active, want 1", n)
	}
	l.pools.SetUp("web", "a", false, "timeout")
	if _, err := io.ReadAll(c); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("client sees %v, want a reset", err)
	}
}

func TestIdleTimeoutCountsBytesWithinASplice(t *testing.T) {
	// The client reads so slowly that one splice takes many times the idle time.
	const chunk = 256 << 10
	l := newLab(t, ListenerConfig{Protocol: TCP, IdleTimeout: 200 * time.Millisecond}, tcpBackend(t, func(c *net.TCPConn) {
		c.Write(make([]byte, 16<<20))
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}))
	c := l.dial()
	_ = c.SetReadBuffer(chunk)
	n := 0
	buf := make([]byte, chunk)
	for n < 16<<20 {
		if n < 3<<20 {
			time.Sleep(40 * time.Millisecond)
		}
		k, err := c.Read(buf)
		n += k
		if err != nil {
			t.Fatalf("after %d bytes: %v\n%s", n, err, l.log)
		}
	}
	if !strings.Contains(l.log.String(), "listening") {
		t.Error("no log")
	}
}
