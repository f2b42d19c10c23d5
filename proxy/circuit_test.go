package proxy

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// What is beyond the pool's bound is answered at once, and the access log says who ended it.
func TestPoolAnswersAtOnceWhatIsBeyondItsBound(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	web := pool.Config{Name: "web", MaxRequests: 2, Backends: []pool.BackendConfig{{Name: "a", Address: web(t, g.ServeHTTP)}, {Name: "b", Address: web(t, g.ServeHTTP)}}}
	lines := logged(t, ListenerConfig{Protocol: HTTP}, []pool.Config{web}, func(l *lab) {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { l.get("127.0.0.1", "") })
		}
		await(t, "two requests", func() bool { return l.pools.Snapshot()[0].Used == 2 })
		resp, body := l.get("127.0.0.1", "")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "as many requests as it may have") {
			t.Errorf("one too many: %d %q", resp.StatusCode, body)
		}
		close(g.open)
		wg.Wait()
		if _, body := l.get("127.0.0.1", ""); body != "served" {
			t.Errorf("when there is room again: %q", body)
		}
	})
	ends := map[string]int{}
	for _, l := range lines {
		ends[l.End]++
	}
	if ends["PQ"] != 1 || ends["--"] != 3 {
		t.Errorf("ends %v, want one PQ and three --", ends)
	}
}

func TestSessionBeyondThePoolsBoundIsReset(t *testing.T) {
	echo := pool.Config{Name: "web", MaxRequests: 1, Backends: []pool.BackendConfig{{Name: "a", Address: tcpBackend(t, func(c *net.TCPConn) { io.Copy(c, c) })}}}
	lines := logged(t, ListenerConfig{Protocol: TCP}, []pool.Config{echo}, func(l *lab) {
		first := l.dial()
		io.WriteString(first, "1")
		if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		// The second may be refused before it knows that it is connected.
		if second, err := net.Dial("tcp", l.addr); err == nil {
			defer second.Close()
			if _, err = second.Read(make([]byte, 1)); err == nil {
				t.Error("a second session was served")
			}
		}
		first.Close()
		await(t, "end", func() bool { return l.pools.Snapshot()[0].Used == 0 })
	})
	if len(lines) != 2 || lines[0].End != "PQ" {
		t.Errorf("the log tells %v, want the refused session first, ended as PQ", lines)
	}
}

// A request that a backend has seen is not sent again where that is never done; one that it has not seen is.
func TestRepetitionCanBeNever(t *testing.T) {
	for _, c := range []struct {
		retries pool.Retries
		status  string
		retried int
	}{{pool.Retries{}, "HTTP/1.1 200 ", 1}, {pool.Retries{Budget: -1}, "HTTP/1.1 502 ", 0}, {pool.Retries{Max: -1, Budget: -1}, "HTTP/1.1 502 ", 0}} {
		silent := tcpBackend(t, func(conn *net.TCPConn) { _, _ = conn.Read(make([]byte, 4096)) })
		cfg := pool.Config{Name: "web", Retries: c.retries, Backends: []pool.BackendConfig{
			{Name: "a", Address: silent, Weight: 1}, {Name: "b", Address: echo(t, "b").Backends[0].Address, Backup: true},
		}}
		l := newLabOn(t, ListenerConfig{Protocol: HTTP}, cfg)
		if got := l.talk(get("/", "a")); !strings.HasPrefix(got, c.status) {
			t.Errorf("%+v: %q, want %s", c.retries, got, c.status)
		}
		if n := int(l.pools.Snapshot()[0].Backends[1].Total); n != c.retried {
			t.Errorf("%+v: the other backend was asked %d times, want %d", c.retries, n, c.retried)
		}
	}
	// Nothing was sent to who refuses.
	for _, c := range []struct {
		retries pool.Retries
		status  string
	}{{pool.Retries{Budget: -1}, "HTTP/1.1 200 "}, {pool.Retries{Max: -1, Budget: -1}, "HTTP/1.1 503 "}} {
		cfg := pool.Config{Name: "web", Retries: c.retries, ConnectTimeout: time.Second, Backends: []pool.BackendConfig{
			{Name: "a", Address: freeAddr(t)}, {Name: "b", Address: echo(t, "b").Backends[0].Address, Backup: true},
		}}
		l := newLabOn(t, ListenerConfig{Protocol: HTTP}, cfg)
		if got := l.talk(get("/", "a")); !strings.HasPrefix(got, c.status) {
			t.Errorf("%+v, refused: %q, want %s", c.retries, got, c.status)
		}
	}
}
