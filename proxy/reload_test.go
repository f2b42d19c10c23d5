package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// reload puts another configuration in place, of which the first listener is the lab's.
func (l *lab) reload(cfg Config, pools ...pool.Config) error {
	l.t.Helper()
	front := &cfg.Listeners[0]
	if front.Name == "" {
		front.Name = "front"
	}
	if !front.Bind.IsValid() {
		front.Bind = netip.MustParseAddrPort(l.addr)
	}
	if front.Pool == "" {
		front.Pool = pools[0].Name
	}
	cfg.Drain = time.Second
	ps, err := l.pools.Prepare(pools)
	if err != nil {
		return err
	}
	c, err := l.proxy.Prepare(l.t.Context(), cfg, ps)
	if err != nil {
		return err
	}
	ps.Commit()
	c.Commit()
	return nil
}

func (l *lab) reloaded(cfg Config, pools ...pool.Config) {
	l.t.Helper()
	if err := l.reload(cfg, pools...); err != nil {
		l.t.Fatal(err)
	}
}

func only(cfg ListenerConfig) Config { return Config{Listeners: []ListenerConfig{cfg}} }

// saying answers with its name.
func saying(t *testing.T, name string) netip.AddrPort {
	return web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	a, b, c := saying(t, "a"), saying(t, "b"), saying(t, "c")
	l := newLab(t, ListenerConfig{Protocol: HTTP}, a, b)
	stop := make(chan struct{})
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			h := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			defer h.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := h.Get("http://" + l.addr + "/")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != 200 || len(body) != 1 {
					t.Errorf("%s %q %v", r.Status, body, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	second := ListenerConfig{Name: "second", Protocol: TCP, Pool: "web", Bind: freeAddr(t)}
	for i := range 100 {
		cfg, p := only(ListenerConfig{Protocol: HTTP, RequestID: []string{"", "X-Id"}[i%2], IdleTimeout: time.Duration(1+i%3) * time.Second}), webPool(a, b)
		switch i % 4 {
		case 1:
			p = webPool(c, b, a)
			p.Balance, p.ConnectTimeout = pool.LeastConn, 2*time.Second
		case 2:
			p.Backends = p.Backends[i%8/4:]
			cfg.Listeners = append(cfg.Listeners, second)
		case 3:
			cfg.Listeners[0].Routes = []route.Config{{Name: "other", Prefixes: []string{"/"}, Pool: "other"}}
			other := webPool(c)
			other.Name = "other"
			l.reloaded(cfg, p, other)
			continue
		}
		for want := asked.Load() + 20; asked.Load() < want && !t.Failed(); {
			time.Sleep(time.Millisecond) // only so that there are requests between two reloads
		}
		l.reloaded(cfg, p)
	}
	close(stop)
	clients.Wait()
	if st := l.proxy.Snapshot()[0]; st.Accepted == 0 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d requests", asked.Load())
}

func TestKeptConnectionMeetsTheNewRoutesAtItsNextRequest(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, saying(t, "a"))
	c := l.dial()
	r := bufio.NewReader(c)
	ask := func() (*http.Response, string) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return readResponse(t, r, "GET")
	}
	if _, body := ask(); body != "a" {
		t.Fatalf("answer %q", body)
	}
	p := webPool(saying(t, "b"))
	l.reloaded(only(ListenerConfig{Protocol: HTTP, Routes: []route.Config{{Name: "gone", Prefixes: []string{"/"}, Respond: &route.Respond{Status: 410}}}}), p)
	if resp, _ := ask(); resp.StatusCode != 410 || resp.Close {
		t.Errorf("after the reload: %s, close %t", resp.Status, resp.Close)
	}
	l.reloaded(only(ListenerConfig{Protocol: HTTP}), p)
	if resp, body := ask(); body != "b" || resp.Close {
		t.Errorf("after another: %q", body)
	}
	// What the connection was let in by has changed: it is not kept for a next one.
	l.reloaded(only(ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}), p)
	if resp, body := ask(); body != "b" || !resp.Close {
		t.Errorf("by other terms: %q, close %t", body, resp.Close)
	}
}

func TestListenerThatGoesAnswersWhatItHasInHand(t *testing.T) {
	begun, answer := make(chan struct{}), make(chan struct{})
	slow := web(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-answer
		io.WriteString(w, "slow")
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, slow)
	idle, busy := l.dial(), l.dial()
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	io.WriteString(idle, "GARBAGE") // keeps a connection without a request open until it has one
	elsewhere := freeAddr(t)
	l.reloaded(only(ListenerConfig{Name: "other", Bind: elsewhere, Protocol: HTTP}), webPool(slow))
	await(t, "nobody listens there", func() bool {
		c, err := net.Dial("tcp", l.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(answer)
	resp, body := readResponse(t, bufio.NewReader(busy), "GET")
	if body != "slow" || !resp.Close {
		t.Errorf("answer %q, close %t", body, resp.Close)
	}
	if _, err := busy.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer: %v, want the end", err)
	}
	c, err := net.Dial("tcp", elsewhere.String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenerKeepsItsSocketUnderAnotherName(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, saying(t, "a"))
	l.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	socket := l.proxy.listeners()[0].socket
	l.reloaded(only(ListenerConfig{Name: "renamed", Protocol: TCP}), webPool(saying(t, "b")))
	if got := l.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "b") {
		t.Errorf("answer %q", got)
	}
	if st := l.proxy.Snapshot()[0]; l.proxy.listeners()[0].socket != socket || st.Name != "renamed" || !st.Open || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
}

func TestTunnelLivesUntilItsBackendGoes(t *testing.T) {
	echo := tcpBackend(t, func(c *net.TCPConn) { io.Copy(c, c) })
	l := newLab(t, ListenerConfig{Protocol: TCP}, echo)
	c := l.dial()
	say := func() error {
		if _, err := io.WriteString(c, "x"); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := say(); err != nil {
		t.Fatal(err)
	}
	other := tcpBackend(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	both := webPool(echo, other)
	both.ConnectTimeout = 3 * time.Second
	l.reloaded(only(ListenerConfig{Protocol: TCP, IdleTimeout: time.Minute}), both)
	if err := say(); err != nil {
		t.Fatalf("after a reload: %v", err)
	}
	a := l.pools.Pool("web").Backends()[0]
	without := both
	without.Backends = both.Backends[1:]
	l.reloaded(only(ListenerConfig{Protocol: TCP, IdleTimeout: time.Minute}), without)
	if err := say(); err != nil {
		t.Fatalf("when its backend has gone, and the drain has just begun: %v", err)
	}
	l.proxy.partings.look(time.Now().Add(2 * time.Second)) // the drain is a second
	if err := say(); err == nil {
		t.Error("it outlives the drain")
	}
	await(t, "the end of the session", func() bool { return a.Active() == 0 })
}

func TestPrepareThatFailsTouchesNothing(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, saying(t, "a"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freeAddr(t)
	p := webPool(saying(t, "b"))
	secret := p
	secret.TLS = &pool.TLS{CAFile: "/none.pem"}
	for _, c := range []struct {
		name string
		cfg  Config
		pool pool.Config
		want string
	}{
		{"a port that is taken", Config{Listeners: []ListenerConfig{{Protocol: TCP}, {Name: "new", Bind: free, Protocol: TCP, Pool: "web"}, {Name: "bad", Bind: addrOf(taken), Protocol: TCP, Pool: "web"}}}, p, "listener bad: listen tcp4 " + taken.Addr().String()},
		{"a certificate that is not there", only(ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{{Cert: "/none.crt", Key: "/none.key"}}}}), p, "listener front: "},
		{"authorities that are not there", only(ListenerConfig{Protocol: HTTP}), secret, "pool web: "},
		{"a pool that is not there", only(ListenerConfig{Protocol: HTTP, Pool: "none"}), p, `there is no pool "none"`},
	} {
		before := fmt.Sprintf("%+v %+v", l.proxy.Snapshot(), l.pools.Snapshot())
		front := l.proxy.listeners()[0]
		if err := l.reload(c.cfg, c.pool); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if after := fmt.Sprintf("%+v %+v", l.proxy.Snapshot(), l.pools.Snapshot()); after != before || l.proxy.listeners()[0] != front {
			t.Errorf("%s: before %s, after %s", c.name, before, after)
		}
		if c, err := net.Dial("tcp", free.String()); err == nil {
			c.Close()
			t.Error("the other new listener is open")
		}
	}
	if got := l.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "a") {
		t.Errorf("answer %q", got)
	}
}

func TestWhatIsUnchangedIsNotTouched(t *testing.T) {
	a := saying(t, "a")
	cfg := ListenerConfig{Protocol: HTTP, MaxConnsPerClient: 5}
	l := newLab(t, cfg, a)
	l.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	front, b := l.proxy.listeners()[0], l.pools.Pool("web").Backends()[0]
	u := l.proxy.upstream(l.pools.Pool("web"), b)
	l.reloaded(Config{Listeners: []ListenerConfig{cfg, {Name: "new", Bind: freeAddr(t), Protocol: TCP, Pool: "web"}}}, webPool(a, saying(t, "b")))
	if l.proxy.listeners()[0] != front || l.proxy.upstream(l.pools.Pool("web"), b) != u {
		t.Error("a listener, or what is kept for a backend, is another one")
	}
	cfg.MaxBody = 100
	l.reloaded(only(cfg), webPool(a))
	if now := l.proxy.listeners()[0]; now == front || now.tally != front.tally || now.clients != front.clients || now.socket != front.socket {
		t.Error("a changed listener has lost its counts, its clients or its socket")
	}
}

func TestAccessLogChangesWithAReload(t *testing.T) {
	one, two := t.TempDir()+"/one", t.TempDir()+"/two"
	cfg := Config{Listeners: []ListenerConfig{{Protocol: HTTP}}, AccessLog: accesslog.Config{File: one}}
	a := saying(t, "a")
	l := newLabOf(t, cfg, webPool(a))
	const ask = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	l.talk(ask)
	was := l.proxy.access.Load()
	await(t, "a line in the old log", func() bool { return was.Stats().Written == 1 })
	cfg.AccessLog.File = two
	l.reloaded(cfg, webPool(a))
	l.talk(ask)
	await(t, "a line in the new log", func() bool { return l.proxy.access.Load().Stats().Written == 1 })
	cfg.AccessLog.File = ""
	l.reloaded(cfg, webPool(a))
	l.talk(ask)
	if l.proxy.access.Load() != nil || was.Stats().Written != 1 {
		t.Error("there is a log, or the old one was written to")
	}
}

func TestNoReloadBeforeTheStartOrAfterTheEnd(t *testing.T) {
	pools := pool.NewSet([]pool.Config{webPool(freeAddr(t))})
	cfg := only(ListenerConfig{Name: "front", Protocol: TCP, Pool: "web", Bind: freeAddr(t)})
	p, err := New(cfg, pools, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	next, err := pools.Prepare([]pool.Config{webPool(freeAddr(t))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prepare(t.Context(), cfg, next); !errors.Is(err, errNotNow) {
		t.Errorf("before Run: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-p.Changed()
	two := cfg
	two.Listeners = append(two.Listeners, ListenerConfig{Name: "new", Protocol: TCP, Pool: "web", Bind: freeAddr(t)})
	c, err := p.Prepare(ctx, two, next)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	c.Commit() // too late
	if _, err := net.Dial("tcp", two.Listeners[1].Bind.String()); err == nil {
		t.Error("a listener is open after the end")
	}
	if _, err := p.Prepare(t.Context(), cfg, next); !errors.Is(err, errNotNow) {
		t.Errorf("after Run: %v", err)
	}
}
