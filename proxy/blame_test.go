package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const getRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

func TestBackendThatBreaksOffIsEjected(t *testing.T) {
	bad, asked := dropper(t, 1000)
	good, _ := dropper(t, 0)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, bad, good)
	for range 20 {
		if got := l.talk(getRequest); !strings.HasSuffix(got, "ok") {
			t.Fatalf("got %q, want the good backend's answer", got)
		}
	}
	st := l.pools.Snapshot()[0]
	if n := asked.Load(); n != 3 || !st.Backends[0].Ejected || st.Available != 1 {
		t.Errorf("asked %d times, want 3; %+v", n, st)
	}
}

// A body that breaks off spoils the answer, however well it began.
func TestBackendThatBreaksBodiesOffIsEjected(t *testing.T) {
	bad := tcpBackend(t, func(c *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	})
	good, _ := dropper(t, 0)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, bad, good)
	for range 10 {
		c := l.dial()
		io.WriteString(c, getRequest)
		io.ReadAll(c)
	}
	if b := l.pools.Snapshot()[0].Backends[0]; !b.Ejected || b.Failures != 3 {
		t.Errorf("%+v, want it ejected after 3 failures", b)
	}
}

// What clients do wrong, whatever it is, takes no backend out.
func TestClientsDoNotEjectBackends(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, BodyTimeout: 50 * time.Millisecond}, web(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(make([]byte, 1<<20))
	}), web(t, func(http.ResponseWriter, *http.Request) {}))
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellooo\r\n",         // malformed
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx",                            // never comes
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n\r\n", // malformed
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",                                                        // does not read the answer
	} {
		for range 8 {
			c := l.dial()
			io.WriteString(c, request)
			if strings.HasPrefix(request, "GET") {
				_ = c.SetLinger(0)
				c.Close()
				continue
			}
			c.CloseWrite()
			io.ReadAll(c)
		}
	}
	for l.proxy.Active() > 0 {
		time.Sleep(time.Millisecond)
	}
	for _, b := range l.pools.Snapshot()[0].Backends {
		if b.Failures != 0 || b.Ejected {
			t.Errorf("blamed for what clients did: %+v", b)
		}
	}
}

// A backend may close a connection that idles whenever it likes.
func TestWornOutConnectionsAreNobodysFault(t *testing.T) {
	addr := tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		http.ReadRequest(r)
		io.WriteString(c, okAnswer)
		http.ReadRequest(r) // closed unanswered
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr, freeAddr(t))
	l.pools.SetUp("web", "b", false, "refused")
	conn := l.dial()
	r := bufio.NewReader(conn)
	for range 10 {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, body := readResponse(t, r, "GET"); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("%d failures, want none", b.Failures)
	}
}

// When everything breaks at once, what is repeated stays within the budget.
func TestRepetitionsHaveABudget(t *testing.T) {
	const clients = 20
	var all sync.WaitGroup // of the requests that wait at the first backend
	all.Add(clients)
	begin := make(chan struct{})
	hold := func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		all.Done()
		<-begin
	}
	release, arrived := make(chan struct{}), make(chan struct{})
	bad := tcpBackend(t, hold)
	good := tcpBackend(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		arrived <- struct{}{}
		<-release
		io.WriteString(c, okAnswer)
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, bad, good)
	l.pools.SetUp("web", "b", false, "later")
	answers := make(chan string, clients)
	for range clients {
		c := l.dial()
		io.WriteString(c, getRequest)
		go func() {
			b, _ := io.ReadAll(c)
			answers <- string(b)
		}()
	}
	all.Wait()
	l.pools.SetUp("web", "b", true, "now")
	close(begin)
	repeated := 0
	for range clients {
		select {
		case got := <-answers:
			if !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "repeated") {
				t.Errorf("got %q, want 502", got)
			}
		case <-arrived:
			repeated++
		}
	}
	// A fifth of 20; of fewer, once some have been refused, but never less than 3.
	if repeated < 3 || repeated > 4 {
		t.Errorf("%d requests were repeated, want 3 or 4", repeated)
	}
	close(release)
	for range repeated {
		if got := <-answers; !strings.HasSuffix(got, "ok") {
			t.Errorf("got %q, want the answer of the other backend", got)
		}
	}
	if !l.pools.Pool("web").Repeat() {
		t.Error("the budget was not given back")
	}
}

func TestWhatThisHostLacksIsNotTheBackendsFault(t *testing.T) {
	for _, err := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EADDRNOTAVAIL, context.Canceled} {
		if got := unreached(fmt.Errorf("connect: %w", err)); got != nil {
			t.Errorf("%v is blamed on the backend", err)
		}
	}
	if err := unreached(unix.ECONNREFUSED); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a refusal is blamed on nobody: %v", err)
	}
}
