package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// held connects and reports whether the connection is served: the backend says hello.
func (l *lab) held() (*net.TCPConn, bool) {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil { // refused so quickly that connecting sees it
		return nil, false
	}
	l.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = io.ReadFull(conn, make([]byte, 5))
	return conn.(*net.TCPConn), err == nil
}

func hello(c *net.TCPConn) {
	io.WriteString(c, "hello")
	io.Copy(io.Discard, c)
}

func TestConnectionsOfAListenerAndOfAClientAreBounded(t *testing.T) {
	for name, cfg := range map[string]ListenerConfig{
		"listener": {Protocol: TCP, MaxConns: 3}, "client": {Protocol: TCP, MaxConnsPerClient: 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, cfg, tcpBackend(t, hello))
			var open []*net.TCPConn
			for i := range 5 {
				c, ok := l.held()
				if want := i < 3; ok != want {
					t.Errorf("connection %d is served: %v, want %v", i+1, ok, want)
				}
				open = append(open, c)
			}
			eventually(t, "two refused are counted beside three", func() bool {
				st := l.proxy.Snapshot()[0]
				return st.Refused == 2 && st.Sessions == 3
			})
			if n := strings.Count(l.log.String(), "connections refused"); n != 1 {
				t.Errorf("told %d times, want once", n)
			}
			open[0].Close()
			eventually(t, "its place is free", func() bool { return l.proxy.Snapshot()[0].Sessions == 2 })
			eventually(t, "another is served", func() bool { _, ok := l.held(); return ok })
		})
	}
}

func TestProxiesThatSpeakForManyClientsAreNotCountedAsOne(t *testing.T) {
	cfg := ListenerConfig{Protocol: TCP, MaxConnsPerClient: 1, ProxyProtocol: true, TrustedProxies: localhost()}
	l := newLab(t, cfg, tcpBackend(t, hello))
	served := func(from int) bool {
		c := l.dial()
		fmt.Fprintf(c, "PROXY TCP4 192.0.2.%d 10.0.0.10 1 80\r\n", from)
		_, err := io.ReadFull(c, make([]byte, 5))
		return err == nil
	}
	for i, want := range []bool{true, true, false} {
		if got := served([]int{1, 2, 1}[i]); got != want {
			t.Errorf("connection %d is served: %v, want %v", i+1, got, want)
		}
	}
}

func TestRequestsOfAClientAreBounded(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, RateLimit: 1, RateBurst: 3, TrustedProxies: localhost()}
	l := newLab(t, cfg, web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	ask := func(from string, n int) (ok, refused int) {
		last := "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + from + "\r\nConnection: close\r\n\r\n"
		got := l.talk(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "+from+"\r\n\r\n", n-1) + last)
		return strings.Count(got, "HTTP/1.1 200 "), strings.Count(got, "HTTP/1.1 429 Too Many Requests\r\n")
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		if ok, refused := ask(from, 6); ok < 3 || ok+refused != 6 || refused < 2 {
			t.Errorf("of 6 requests at once %d were answered and %d refused, want 3 and 3", ok, refused)
		}
	}
}

func TestDescriptorsHaveAReserve(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, hello))
	budget := l.proxy.budget
	for n := 1 << 30; n > 0; n /= 2 {
		for budget.Take(n) == nil {
			continue // until nothing is left
		}
	}
	const left = 2*perSession + 1
	budget.Give(left)
	others := budget.Used()
	first, ok := l.held()
	if _, second := l.held(); !ok || !second {
		t.Fatal("within the budget a client is not served")
	}
	if _, third := l.held(); third {
		t.Error("a client is served beyond the budget")
	}
	first.Close()
	eventually(t, "what was taken is given back", func() bool { return budget.Used() == others+perSession })
	if _, ok := l.held(); !ok {
		t.Error("a client is not served after another has left")
	}
}

func TestIdleBackendConnectionsAreInTheBudget(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	l.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	eventually(t, "one idle connection is counted", func() bool { return l.proxy.budget.Used() == 1 })
	for _, u := range *l.proxy.upstreams.Load() {
		u.tidy(time.Time{})
	}
	if n := l.proxy.budget.Used(); n != 0 {
		t.Errorf("%d are taken, want none", n)
	}
}
