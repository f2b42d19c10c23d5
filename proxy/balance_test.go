package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// named is n backends a, b, c ... that answer http requests with their name.
func named(t *testing.T, n int) []pool.BackendConfig {
	t.Helper()
	var bs []pool.BackendConfig
	for i := range n {
		name := string(rune('a' + i))
		bs = append(bs, pool.BackendConfig{Name: name, Address: web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })})
	}
	return bs
}

// get asks once over a new connection from an address of this host, and returns the answer and its body.
func (l *lab) get(from, header string) (*http.Response, string) {
	l.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.DialContext(l.t.Context(), "tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", header)
	return readResponse(l.t, bufio.NewReader(c), "GET")
}

// from tells by which backend each of n clients is served.
func (l *lab) from(n int, header func(i int) string) string {
	l.t.Helper()
	var s strings.Builder
	for i := range n {
		h := ""
		if header != nil {
			h = header(i)
		}
		_, body := l.get(fmt.Sprintf("127.0.1.%d", i+1), h)
		s.WriteString(body)
	}
	return s.String()
}

func TestEveryBalanceCarriesRequestsAndSessions(t *testing.T) {
	for _, balance := range []pool.Balance{pool.RoundRobin, pool.LeastConn, pool.P2C, pool.Random, pool.SourceHash, pool.Maglev} {
		t.Run("http "+string(balance), func(t *testing.T) {
			l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Balance: balance, Backends: named(t, 3)})
			first := l.from(60, nil)
			for _, name := range []string{"a", "b", "c"} {
				if !strings.Contains(first, name) {
					t.Errorf("60 clients were served by %s, %s by none", first, name)
				}
			}
			if again := l.from(60, nil); balance.ByClient() && again != first {
				t.Errorf("clients were served by %s, then by %s; each should come back to its own", first, again)
			}
		})
		t.Run("tcp "+string(balance), func(t *testing.T) {
			var bs []pool.BackendConfig
			for _, name := range []string{"a", "b"} {
				bs = append(bs, pool.BackendConfig{Name: name, Address: tcpBackend(t, func(c *net.TCPConn) { io.WriteString(c, name) })})
			}
			l := newLabOn(t, ListenerConfig{Protocol: TCP}, pool.Config{Name: "web", Balance: balance, Backends: bs})
			var got strings.Builder
			for range 30 {
				b, err := io.ReadAll(l.dial())
				if err != nil {
					t.Fatal(err)
				}
				got.Write(b)
			}
			as := strings.Count(got.String(), "a")
			if balance.ByClient() != (as == 0 || as == 30) { // one address
				t.Errorf("30 sessions went to %s", got.String())
			}
		})
	}
}

func TestTwoProxiesSendAClientToTheSameBackend(t *testing.T) {
	for _, balance := range []pool.Balance{pool.SourceHash, pool.Maglev} {
		bs := named(t, 4)
		one := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Balance: balance, Backends: bs})
		two := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Balance: balance, Backends: []pool.BackendConfig{bs[2], bs[0], bs[3], bs[1]}})
		if a, b := one.from(30, nil), two.from(30, nil); a != b {
			t.Errorf("%s: clients are served by %s on one node, by %s on the other", balance, a, b)
		}
	}
}

// Behind a trusted proxy all clients have its address; they must not all go to one backend. Nobody else may choose.
func TestHashedAddressIsTheClientsOwn(t *testing.T) {
	said := func(i int) string { return fmt.Sprintf("X-Forwarded-For: 10.9.8.7, 198.51.100.%d\r\n", i) }
	pc := pool.Config{Name: "web", Balance: pool.SourceHash, Backends: named(t, 4)}
	trusting := newLabOn(t, ListenerConfig{Protocol: HTTP, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, pc)
	wary := newLabOn(t, ListenerConfig{Protocol: HTTP}, pc)
	var behind, forged strings.Builder
	for i := range 30 {
		_, b := trusting.get("127.0.0.1", said(i))
		behind.WriteString(b)
		_, b = wary.get("127.0.0.1", said(i))
		forged.WriteString(b)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if !strings.Contains(behind.String(), name) {
			t.Errorf("clients behind a trusted proxy are served by %s only", behind.String())
		}
	}
	if f := forged.String(); strings.Trim(f, f[:1]) != "" {
		t.Errorf("a client chose its backend by X-Forwarded-For: %s", f)
	}
}

func TestCookieBringsClientsBack(t *testing.T) {
	pc := pool.Config{Name: "web", Cookie: "srv", Secret: []byte("key"), Backends: named(t, 3)}
	one := newLabOn(t, ListenerConfig{Protocol: HTTP}, pc)
	resp, home := one.get("127.0.0.1", "")
	set := resp.Cookies()
	if len(set) != 1 || set[0].Name != "srv" || !set[0].HttpOnly || set[0].Path != "/" || set[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("Set-Cookie: %q", resp.Header["Set-Cookie"])
	}
	cookie := "Cookie: x=y; srv=" + set[0].Value + "; z=1\r\n"
	two := newLabOn(t, ListenerConfig{Protocol: HTTP}, pc) // the other node
	for _, l := range []*lab{one, two} {
		for range 5 {
			resp, got := l.get("127.0.0.1", cookie)
			if got != home || len(resp.Cookies()) != 0 {
				t.Errorf("served by %s with Set-Cookie %q, want %s and none", got, resp.Header["Set-Cookie"], home)
			}
		}
	}
	if set[0].Secure {
		t.Error("a cookie for https only was set by http")
	}
	one.pools.SetUp("web", home, false, "refused")
	resp, moved := one.get("127.0.0.1", cookie)
	if moved == home || len(resp.Cookies()) != 1 {
		t.Fatalf("with %s down: served by %s with Set-Cookie %q", home, moved, resp.Header["Set-Cookie"])
	}
	if _, got := one.get("127.0.0.1", "Cookie: srv="+resp.Cookies()[0].Value+"\r\n"); got != moved {
		t.Errorf("after the move: served by %s, want %s", got, moved)
	}
	if resp, _ := one.get("127.0.0.1", "Cookie: srv=a\r\nCookie: srv\r\nCookie: =;;srv=\r\n"); len(resp.Cookies()) != 1 {
		t.Errorf("with a made-up cookie: Set-Cookie %q, want one", resp.Header["Set-Cookie"])
	}
}

func TestCookieIsSecureWhereTheClientIs(t *testing.T) {
	l := newLabOn(t, ListenerConfig{Protocol: HTTP, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		pool.Config{Name: "web", Cookie: "srv", Backends: named(t, 1)})
	resp, _ := l.get("127.0.0.1", "X-Forwarded-Proto: https\r\n")
	if set := resp.Cookies(); len(set) != 1 || !set[0].Secure {
		t.Errorf("Set-Cookie %q behind a proxy that speaks https, want one with Secure", resp.Header["Set-Cookie"])
	}
}

func TestWebsocketClientGetsItsCookieToo(t *testing.T) {
	bs := []pool.BackendConfig{{Name: "a", Address: tcpBackend(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}
	})}}
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Cookie: "srv", Backends: bs})
	got := l.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if !strings.Contains(got, "101 ") || !strings.Contains(got, "Set-Cookie: srv=") {
		t.Errorf("answer %q, want 101 with a cookie", got)
	}
}

// await waits until ok; the kernel's sockets do not know the time of a test bubble.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("no %s within ten seconds", what)
		}
	}
}

// gate is a backend that holds requests until it is told to let them go.
type gate struct {
	open chan struct{}
	mu   sync.Mutex // guards what follows
	now  int
	most int
}

func (g *gate) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	<-g.open
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
	io.WriteString(w, "served")
}

func TestFullBackendMakesClientsWaitInOrder(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{
		Name: "web", QueueSize: 2, QueueTimeout: time.Minute,
		Backends: []pool.BackendConfig{{Name: "a", Address: web(t, g.ServeHTTP), MaxConns: 1}},
	})
	backends := l.pools.Pool("web")
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, body := l.get("127.0.0.1", ""); body != "served" {
				t.Errorf("client %d got %q", i, body)
			}
		})
		// The next one comes when this one has its place.
		await(t, "place in the queue", func() bool { return backends.Backends()[0].Active() == 1 && backends.Waiting() == i })
	}
	resp, body := l.get("127.0.0.1", "") // the queue is full
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "queue") {
		t.Errorf("one too many: %d %q", resp.StatusCode, body)
	}
	for range 3 {
		g.open <- struct{}{}
	}
	wg.Wait()
	if g.most != 1 {
		t.Errorf("%d requests at once on a backend that may have 1", g.most)
	}
}

func TestSessionWaitsForAFullBackend(t *testing.T) {
	l := newLabOn(t, ListenerConfig{Protocol: TCP}, pool.Config{
		Name: "web", QueueSize: 1, QueueTimeout: time.Minute,
		Backends: []pool.BackendConfig{{Name: "a", MaxConns: 1, Address: tcpBackend(t, func(c *net.TCPConn) { io.Copy(c, c) })}},
	})
	backends := l.pools.Pool("web")
	first := l.dial()
	io.WriteString(first, "1")
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := l.dial()
	io.WriteString(second, "2")
	await(t, "waiter", func() bool { return backends.Waiting() == 1 })
	// The third may be refused before it knows that it is connected.
	if third, err := net.Dial("tcp", l.addr); err == nil {
		defer third.Close()
		if _, err = third.Read(make([]byte, 1)); err == nil {
			t.Error("a third session was served, with one in the queue that has room for one")
		}
	}
	first.Close()
	if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
		t.Errorf("the session that waited: %v", err)
	}
}

func TestClientThatLeavesTheQueueIsForgotten(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{
		Name: "web", QueueSize: 5, QueueTimeout: time.Minute,
		Backends: []pool.BackendConfig{{Name: "a", Address: web(t, g.ServeHTTP), MaxConns: 1}},
	})
	backends := l.pools.Pool("web")
	var wg sync.WaitGroup
	wg.Go(func() { l.get("127.0.0.1", "") })
	await(t, "use", func() bool { return backends.Backends()[0].Active() == 1 })
	c := l.dial()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	await(t, "waiter", func() bool { return backends.Waiting() == 1 })
	c.Close()
	await(t, "empty queue", func() bool { return backends.Waiting() == 0 })
	g.open <- struct{}{}
	wg.Wait()
	if st := l.pools.Snapshot()[0].Backends[0]; st.Total != 1 {
		t.Errorf("the backend was asked %d times, want 1", st.Total)
	}
}

func TestBackupAnswersWhenNobodyElseCan(t *testing.T) {
	bs := named(t, 2)
	bs[0].Address = freeAddr(t) // refuses
	bs[1].Backup = true
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Backends: bs})
	if _, got := l.get("127.0.0.1", ""); got != "b" {
		t.Errorf("before the probes know that a is down: %q, want b", got)
	}
	l.pools.SetUp("web", "a", false, "refused")
	if _, got := l.get("127.0.0.1", ""); got != "b" {
		t.Errorf("when they know it: %q, want b", got)
	}
}

func TestPanicTriesWhatIsSaidToBeDown(t *testing.T) {
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Panic: 50, Backends: named(t, 2)})
	for _, b := range []string{"a", "b"} {
		l.pools.SetUp("web", b, false, "probe was refused")
	}
	if got := l.from(4, nil); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
		t.Errorf("with all down but alive in truth: %q", got)
	}
}

func FuzzCookies(f *testing.F) {
	f.Add("srv=abc; x=y", "srv") // ours first
	f.Add("x=y;srv=\"abc\"", "srv")
	f.Add(";;=;srv", "srv") // no value, no name
	f.Add("srv=a=b;srv=c", "srv")
	f.Fuzz(func(t *testing.T, field, name string) {
		n := 0
		for rest := field; rest != ""; n++ {
			var value string
			before := len(rest)
			if value, rest = nextCookie(rest, name); len(rest) >= before {
				t.Fatalf("%q does not end", field)
			}
			if !strings.Contains(field, value) {
				t.Fatalf("%q is not the value of %q in %q", value, name, field)
			}
		}
		if n > 1+strings.Count(field, ";") {
			t.Fatalf("%d cookies in %q", n, field)
		}
	})
}
