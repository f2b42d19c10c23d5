package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestUnreachableBackendIsSkipped(t *testing.T) {
	good, _ := script(t, okAnswer, okAnswer, okAnswer, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, freeAddr(t), good, freeAddr(t))
	for range 4 {
		// Not idempotent, but nothing was sent.
		got := l.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
		if !strings.HasSuffix(got, "ok") {
			t.Fatalf("got %q", got)
		}
	}
}

func TestNoBackendIs503(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, freeAddr(t), freeAddr(t))
	const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	if got := l.talk(request); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "Retry-After: ") || !strings.Contains(got, "reached") {
		t.Errorf("refused by all: %q", got)
	}
	l.pools.SetUp("web", "a", false, "refused")
	l.pools.SetUp("web", "b", false, "refused")
	if got := l.talk(request); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "available") {
		t.Errorf("all down: %q", got)
	}
}

// dropper closes its first n connections after the request, without an answer.
func dropper(t *testing.T, n int64) (netip.AddrPort, *atomic.Int64) {
	var seen atomic.Int64
	return tcpBackend(t, func(c *net.TCPConn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		if seen.Add(1) > n {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		}
	}), &seen
}

func TestOnlyHarmlessRequestsAreRepeated(t *testing.T) {
	for _, c := range []struct {
		request string
		status  string
		seen    int64
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", 2},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nxy", "200", 2},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nxy", "502", 1},
		{"PATCH / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "502", 1},
		{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n", "200", 2},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n", "502", 1},
	} {
		bad, seen := dropper(t, 1)
		good, seenGood := dropper(t, 0)
		l := newLab(t, ListenerConfig{Protocol: HTTP}, bad, good)
		got := l.talk(c.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || seen.Load()+seenGood.Load() != c.seen {
			t.Errorf("%.20q: answer %.30q, seen %d times; want %s, %d", c.request, got, seen.Load()+seenGood.Load(), c.status, c.seen)
		}
	}
}

func TestStaleConnectionIsReplacedSilently(t *testing.T) {
	var connections atomic.Int64
	closeNow := make(chan struct{})
	addr := tcpBackend(t, func(c *net.TCPConn) {
		n := connections.Add(1)
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if n == 2 && i == 1 {
				// It dies when it is used again: the request has been sent, but not one byte comes back.
				_ = c.SetLinger(0)
				return
			}
			io.WriteString(c, okAnswer)
			if n == 1 {
				<-closeNow
				return
			}
		}
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	conn := l.dial()
	r := bufio.NewReader(conn)
	ask := func() {
		t.Helper()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, body := readResponse(t, r, "GET"); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	ask()
	close(closeNow)
	for range 3 {
		ask()
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestUnaskedAnswerMeetsNobody(t *testing.T) {
	sent := make(chan struct{})
	addr := tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, okAnswer)
		if _, first := <-sent; !first { // the proxy has put the connection away
			return
		}
		io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil")
		sent <- struct{}{}
		http.ReadRequest(r)
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	conn := l.dial()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	readResponse(t, r, "GET")
	for l.proxy.Active() > 0 {
		time.Sleep(time.Millisecond)
	}
	sent <- struct{}{}
	<-sent
	close(sent)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	if resp, body := readResponse(t, r, "POST"); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("the next request got %d %q, which nobody asked for", resp.StatusCode, body)
	}
}

func TestClientThatGoesAwayIsNotTheBackendsFault(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer close(release)
	conn := l.dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	began := time.Now()
	conn.Close()
	for l.proxy.Active() > 0 {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the request of a client that is gone goes on")
		}
		time.Sleep(time.Millisecond)
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 || b.Total != 1 {
		t.Errorf("the backend is blamed, or was asked again: %+v", b)
	}
	if !strings.Contains(l.log.String(), "status=499") {
		t.Errorf("no 499 in the log:\n%s", l.log)
	}
}

func TestBackendThatGoesDownIsLeftAtOnce(t *testing.T) {
	asked := make(chan struct{})
	hung := tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		close(asked)
		io.Copy(io.Discard, r)
	})
	good, _ := script(t, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, hung, good)
	conn := l.dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	l.pools.SetUp("web", "a", false, "timeout")
	if resp, body := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("got %d %q, want the other backend's answer", resp.StatusCode, body)
	}
}

func TestClientThatNeverReadsIsGivenUp(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, BodyTimeout: time.Second}, web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000000")
		for b := make([]byte, 1<<20); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	conn := l.dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	readOne := make([]byte, 1)
	io.ReadFull(conn, readOne)
	began := time.Now()
	for l.proxy.Active() > 0 {
		if time.Since(began) > 15*time.Second {
			t.Fatal("an answer that nobody reads goes on")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("the backend is blamed: %+v", b)
	}
}

func TestOldClientIsNotLeftWaitingAfterAnErrorPage(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, freeAddr(t))
	if got := l.talk("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("got %q", got)
	}
}

func TestTruncatedAnswerIsSeenAsSuch(t *testing.T) {
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhello",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n",
	} {
		addr, _ := script(t, answer)
		l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
		conn := l.dial()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "hello" {
			t.Errorf("%s: read %q, %v; want what there was, and an error", name, b, err)
		}
		if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 1 {
			t.Errorf("%s: %d failures, want 1", name, b.Failures)
		}
	}
}
