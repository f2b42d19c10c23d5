package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// duplex is one end of a connection in memory whose directions end separately, as TCP's do.
type duplex struct {
	net.Conn          // reads, and has the deadlines
	out      net.Conn // writes
}

func newDuplex() (*duplex, *duplex) {
	a1, a2 := net.Pipe()
	b1, b2 := net.Pipe()
	return &duplex{a1, b1}, &duplex{b2, a2}
}

func (d *duplex) Write(b []byte) (int, error) { return d.out.Write(b) }
func (d *duplex) CloseWrite() error           { return d.out.Close() }
func (d *duplex) Close() error                { d.out.Close(); return d.Conn.Close() }

// bubble is a proxy in fake time, with one listener and one backend, all in memory.
type bubble struct {
	t        *testing.T
	proxy    *Proxy
	listener *listener
	pools    *pool.Set
	log      *syncBuffer
	rest     sync.WaitGroup // backends, and what a story starts
}

// inBubble runs story in fake time; each connection to the backend is served by backend.
func inBubble(t *testing.T, cfg ListenerConfig, backend func(*duplex), story func(*bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, log: &syncBuffer{}}
		b.pools = pool.NewSet([]pool.Config{{Name: "web", Backends: []pool.BackendConfig{{Name: "a", Address: netip.MustParseAddrPort("192.0.2.1:80")}}}})
		cfg.Name, cfg.Pool = "front", "web"
		var err error
		b.proxy, err = New(Config{Listeners: []ListenerConfig{cfg}}, b.pools, hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Debug}))
		if err != nil {
			t.Fatal(err)
		}
		b.listener = b.proxy.listeners()[0]
		for _, u := range *b.proxy.upstreams.Load() {
			u.dialTo = func(context.Context, netip.AddrPort, time.Duration) (net.Conn, error) {
				near, far := newDuplex()
				b.rest.Go(func() { defer far.Close(); backend(far) })
				return near, nil
			}
		}
		story(b)
		b.listener.sessions.wait()
		for _, u := range *b.proxy.upstreams.Load() {
			u.tidy(time.Time{})
		}
		b.rest.Wait()
		if n := b.proxy.Active(); n != 0 {
			t.Errorf("%d active after the end", n)
		}
		if t.Failed() {
			t.Log(b.log)
		}
	})
}

func (b *bubble) dial() *duplex {
	near, far := newDuplex()
	b.listener.admit(far, netip.MustParseAddrPort("198.51.100.1:1234"))
	return near
}

// between fails unless about so much time has passed since began.
func between(t *testing.T, what string, began time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(began); d < least || d > most {
		t.Errorf("%s after %v, want %v to %v", what, d, least, most)
	}
}

func readAll(c io.Reader) string {
	b, _ := io.ReadAll(c)
	return string(b)
}

func nobody(c *duplex) { io.Copy(io.Discard, c) }

func answering(answer string) func(*duplex) {
	return func(c *duplex) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
	}
}

func TestSlowHeaderIs408(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, nobody, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		b.rest.Go(func() { // one byte a second would take for ever
			for _, x := range []byte("GET / HTTP/1.1\r\nHost: a\r\nX: abcdefghijkl") {
				if _, err := c.Write([]byte{x}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("got %q, want 408", got)
		}
		between(t, "refused", began, 5*time.Second, 7*time.Second)
		c.Close()
	})
}

func TestMuteClientIsClosedWithoutAWord(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, nobody, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		if got := readAll(c); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
		between(t, "closed", began, 5*time.Second, 7*time.Second)
	})
}

func TestKeptConnectionIsClosedWhenIdle(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP, IdleTimeout: 40 * time.Second}, answering(okAnswer), func(b *bubble) {
		c := b.dial()
		r := bufio.NewReader(c)
		for range 3 {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			readResponse(t, r, "GET")
			time.Sleep(30 * time.Second)
		}
		began := time.Now()
		if got := readAll(r); got != "" {
			t.Errorf("got %q", got)
		}
		between(t, "closed", began, 10*time.Second, 20*time.Second)
	})
}

func TestMuteBackendIs504(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, nobody, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
			t.Errorf("got %q, want 504", got)
		}
		between(t, "answered", began, 30*time.Second, 32*time.Second)
		c.Close()
		b.listener.sessions.wait()
		if st := b.pools.Snapshot()[0].Backends[0]; st.Failures != 1 {
			t.Errorf("%d failures of the backend, want 1", st.Failures)
		}
	})
}

func TestLongUploadIsNotALateAnswer(t *testing.T) {
	backend := func(c *duplex) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.Copy(io.Discard, req.Body)
			time.Sleep(20 * time.Second)
			io.WriteString(c, okAnswer)
		}
	}
	inBubble(t, ListenerConfig{Protocol: HTTP, MinRate: -1}, backend, func(b *bubble) {
		c := b.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
		b.rest.Go(func() {
			for range 10 {
				time.Sleep(20 * time.Second)
				c.Write([]byte("x"))
			}
		})
		if got := readAll(c); !strings.HasSuffix(got, "ok") {
			t.Errorf("got %q, want the answer to an upload of 200 s", got)
		}
		c.Close()
	})
}

func TestMalformedChunkIsRefusedAtOnce(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, answering(okAnswer), func(b *bubble) {
		c := b.dial()
		began := time.Now()
		b.rest.Go(func() {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n")
		})
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("got %q, want 400", got)
		}
		between(t, "refused", began, 0, 500*time.Millisecond)
		c.Close()
	})
}

func TestSilentUploadIs408AndNotTheBackendsFault(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, answering(okAnswer), func(b *bubble) {
		c := b.dial()
		began := time.Now()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("got %q, want 408", got)
		}
		between(t, "refused", began, 30*time.Second, 40*time.Second)
		c.Close()
		b.listener.sessions.wait()
		if st := b.pools.Snapshot()[0].Backends[0]; st.Failures != 0 {
			t.Errorf("%d failures of the backend, want none", st.Failures)
		}
	})
}

func TestBackendThatFallsSilentIsCutOff(t *testing.T) {
	backend := func(c *duplex) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			for range 5 { // slow is not silent
				time.Sleep(20 * time.Second)
				io.WriteString(c, "x")
			}
			io.Copy(io.Discard, c)
		}
	}
	inBubble(t, ListenerConfig{Protocol: HTTP}, backend, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := readAll(c); !strings.HasSuffix(got, "\r\n\r\nxxxxx") {
			t.Errorf("got %q", got)
		}
		between(t, "cut off", began, 130*time.Second, 132*time.Second)
	})
}

func TestWebsocketHasItsOwnPatience(t *testing.T) {
	backend := func(c *duplex) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			time.Sleep(50 * time.Minute)
			io.WriteString(c, "late")
			io.Copy(io.Discard, c)
		}
	}
	inBubble(t, ListenerConfig{Protocol: HTTP}, backend, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		if got := readAll(c); !strings.HasSuffix(got, "late") {
			t.Errorf("got %q", got)
		}
		between(t, "ended", began, 110*time.Minute, 130*time.Minute)
	})
}

func TestIdleSessionEnds(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: TCP, IdleTimeout: time.Minute}, nobody, func(b *bubble) {
		c := b.dial()
		for range 5 { // one direction is enough
			time.Sleep(50 * time.Second)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		readAll(c)
		between(t, "ended", began, time.Minute, 90*time.Second)
		b.listener.sessions.wait()
		if !strings.Contains(b.log.String(), "reason=idle") {
			t.Errorf("the log does not tell why:\n%s", b.log)
		}
	})
}

func TestHalfClosedSessionIsBounded(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: TCP}, nobodyForever, func(b *bubble) {
		c := b.dial()
		began := time.Now()
		c.CloseWrite()
		readAll(c)
		between(t, "ended", began, time.Minute, 90*time.Second)
	})
}

// nobodyForever reads the end and does not answer with its own.
func nobodyForever(c *duplex) {
	io.Copy(io.Discard, c)
	for {
		if _, err := c.out.Write([]byte{}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func TestUnusedBackendConnectionsAreClosed(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, answering(okAnswer), func(b *bubble) {
		c := b.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		readAll(c)
		c.Close()
		b.listener.sessions.wait()
		ctx, cancel := context.WithCancel(context.Background())
		b.rest.Go(func() { b.proxy.tidy(ctx) })
		u := (*b.proxy.upstreams.Load())[b.pools.Pool("web").Backends()[0]]
		count := func() int { u.mu.Lock(); defer u.mu.Unlock(); return len(u.idle) }
		if n := count(); n != 1 {
			t.Errorf("%d idle connections after a request, want 1", n)
		}
		time.Sleep(keepIdle + 2*tidyEvery)
		if n := count(); n != 0 {
			t.Errorf("%d idle connections after %v", n, keepIdle)
		}
		cancel()
	})
}
