package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// lab is a proxy with one listener, in front of backends, on real loopback sockets.
type lab struct {
	t     *testing.T
	proxy *Proxy
	pools *pool.Set
	addr  string
	log   *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func addrOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// freeAddr returns an address on which nobody listens.
func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return addrOf(l)
}

func newLab(t *testing.T, cfg ListenerConfig, backends ...netip.AddrPort) *lab {
	t.Helper()
	return newLabOf(t, Config{Listeners: []ListenerConfig{cfg}}, webPool(backends...))
}

// webPool is a pool called web of the backends a, b and so on.
func webPool(backends ...netip.AddrPort) pool.Config {
	pc := pool.Config{Name: "web"}
	for i, a := range backends {
		pc.Backends = append(pc.Backends, pool.BackendConfig{Name: string(rune('a' + i)), Address: a})
	}
	return pc
}

// newLabOn is newLab with pools of which the first is the listener's.
func newLabOn(t *testing.T, cfg ListenerConfig, pools ...pool.Config) *lab {
	t.Helper()
	return newLabOf(t, Config{Listeners: []ListenerConfig{cfg}}, pools...)
}

// newLabOf is newLab with all of the configuration. The first listener's pool is the first one, unless it has one.
func newLabOf(t *testing.T, cfg Config, pools ...pool.Config) *lab {
	t.Helper()
	l := newClosedLab(t, cfg, pools...)
	if st := l.proxy.Snapshot()[0]; !st.Open {
		t.Fatalf("listener did not open: %+v", st)
	}
	return l
}

// newClosedLab is newLabOf for a listener that may not open.
func newClosedLab(t *testing.T, cfg Config, pools ...pool.Config) *lab {
	t.Helper()
	l := &lab{t: t, pools: pool.NewSet(pools), log: &syncBuffer{}}
	front := &cfg.Listeners[0]
	if !front.Bind.IsValid() {
		front.Bind = freeAddr(t)
	}
	if !front.Passthrough {
		front.Pool = pools[0].Name
	}
	front.Name, l.addr, cfg.Drain = "front", front.Bind.String(), time.Second
	log := hclog.New(&hclog.LoggerOptions{Output: l.log, Level: hclog.Debug})
	var err error
	l.proxy, err = New(cfg, l.pools, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.proxy.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := l.proxy.Active(); n != 0 {
			t.Errorf("%d active after the end", n)
		}
		for _, b := range l.pools.Snapshot()[0].Backends {
			if b.Active != 0 {
				t.Errorf("backend %s has %d uses after the end", b.Name, b.Active)
			}
		}
		if t.Failed() {
			t.Log(l.log.String())
		}
	})
	<-l.proxy.Changed()
	return l
}

func (l *lab) dial() *net.TCPConn {
	l.t.Helper()
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

// talk sends raw bytes and returns all that comes back until the end.
func (l *lab) talk(raw string) string {
	l.t.Helper()
	c := l.dial()
	if _, err := io.WriteString(c, raw); err != nil {
		l.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		l.t.Fatalf("%q: read: %v after %q", raw, err, b)
	}
	return string(b)
}

func web(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return addrOf(s.Listener)
}

// tcpBackend serves each connection with f.
func tcpBackend(t *testing.T, f func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); f(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return addrOf(l)
}

func readResponse(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read response: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return resp, string(b)
}

func TestHTTPRequestIsAnswered(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Method+" "+r.URL.String()+" "+r.Host+" "+r.Header.Get("X-Forwarded-For")+" "+string(b))
	}))
	got := l.talk("GET /x?y HTTP/1.1\r\nHost: example.com\r\n\r\n" +
		"POST /p HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /c HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nxyz\r\n0\r\n\r\n")
	for _, want := range []string{"GET /x?y example.com 127.0.0.1 ", "POST /p a.b 127.0.0.1 abc", "POST /c a.b 127.0.0.1 xyz"} {
		if !strings.Contains(got, want) {
			t.Errorf("answers %q lack %q", got, want)
		}
	}
}

func TestTCPBytesGoBothWays(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: TCP}, tcpBackend(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		c.Write(bytes.ToUpper(b))
	}))
	c := l.dial()
	io.WriteString(c, "hello")
	c.CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO" {
		t.Errorf("got %q, %v; want HELLO after a half-close", b, err)
	}
}
