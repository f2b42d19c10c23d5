package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// localhost are the networks of the proxies that the tests are.
func localhost() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

const fromFar = "PROXY TCP4 192.0.2.7 10.0.0.10 4711 80\r\n"

func TestProxyHeaderTellsWhereTheClientIs(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: localhost()},
		web(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "for "+r.Header.Get("X-Forwarded-For"))
		}))
	for _, tt := range []struct{ header, want string }{
		{fromFar, "for 192.0.2.7"},
		{"PROXY UNKNOWN\r\n", "for 1.1.1.1, 127.0.0.1"}, // the proxy speaks for itself, and is trusted
	} {
		got := l.talk(tt.header + "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nConnection: close\r\n\r\n")
		if !strings.HasSuffix(got, "\r\n\r\n"+tt.want) {
			t.Errorf("after %q the answer is %q, want %q", tt.header, got, tt.want)
		}
	}
}

func TestProxyHeaderIsRequiredFromTrustedProxiesAndNotBelievedFromOthers(t *testing.T) {
	backend := web(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "for "+r.Header.Get("X-Forwarded-For"))
	})
	const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	l := newLab(t, ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: localhost()}, backend)
	c := l.dial()
	io.WriteString(c, request)
	if b, err := io.ReadAll(c); len(b) > 0 {
		t.Errorf("a trusted proxy without a header got %q, %v; want nothing", b, err)
	}
	if !strings.Contains(l.log.String(), "connections from a trusted proxy refused") {
		t.Error("nobody is told that a proxy sends no header")
	}
	l = newLab(t, ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, backend)
	if got := l.talk(request); !strings.HasSuffix(got, "for 127.0.0.1") {
		t.Errorf("a client that is no proxy got %q", got)
	}
	if got := l.talk(fromFar + request); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("a header from a client that is no proxy is answered with %q, want 400", got)
	}
}

func TestProxyHeaderMustComeInTime(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: TCP, ProxyProtocol: true, TrustedProxies: localhost()}, func(*duplex) {}, func(b *bubble) {
		near, far := newDuplex()
		a := &arrival{listener: b.listener, conn: near}
		b.listener.open.Add(1)
		b.listener.busy(1)
		began := time.Now()
		b.listener.sessions.run(a, a.serve)
		io.WriteString(far, "PROXY TCP4 192")
		if _, err := far.Read(make([]byte, 1)); err == nil || time.Since(began) != headerPatience {
			b.t.Errorf("closed with %v after %s, want after %s", err, time.Since(began), headerPatience)
		}
		far.Close()
	})
}

func TestArrivalIsCutWhileItsHeaderIsAwaited(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: TCP, ProxyProtocol: true, TrustedProxies: localhost()}, freeAddr(t))
	c := l.dial()
	io.WriteString(c, "PROXY ")
	for l.proxy.Active() == 0 {
		time.Sleep(time.Millisecond)
	}
	l.proxy.Reset()
	if _, err := c.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("read: %v, want a reset", err)
	}
}

// TestBulkAfterProxyHeadersIsWhole: headers in and out, and 8 MiB each way that begin in the same segment as the header.
func TestBulkAfterProxyHeadersIsWhole(t *testing.T) {
	for _, v := range []proxyheader.Version{proxyheader.V1, proxyheader.V2} {
		t.Run(string(v), func(t *testing.T) {
			sum := make(chan [32]byte, 1)
			header := make(chan proxyheader.Header, 1)
			back := tcpBackend(t, func(c *net.TCPConn) {
				h, err := proxyheader.Read(c)
				if err != nil {
					t.Errorf("the backend got no header: %v", err)
				}
				header <- h
				b, _ := io.ReadAll(c)
				sum <- sha256.Sum256(b)
				c.Write(b)
			})
			p := proxyTo(t, v, ListenerConfig{Protocol: TCP, ProxyProtocol: true, TrustedProxies: localhost()}, back)
			data := make([]byte, 8<<20)
			r := rand.NewChaCha8([32]byte{})
			r.Read(data)
			c := p.dial()
			go func() {
				c.Write(append([]byte(fromFar), data...))
				c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back (%v), not the %d that were sent", len(got), err, len(data))
			}
			if <-sum != sha256.Sum256(data) {
				t.Error("the backend got other bytes")
			}
			if h := <-header; h.From.String() != "192.0.2.7:4711" || h.To.String() != "10.0.0.10:80" {
				t.Errorf("the backend was told %v", h)
			}
		})
	}
}

// proxyTo is a lab whose pool sends PROXY headers.
func proxyTo(t *testing.T, v proxyheader.Version, cfg ListenerConfig, backend netip.AddrPort) *lab {
	t.Helper()
	return newLabOn(t, cfg, pool.Config{Name: "web", ProxyProtocol: v, Backends: []pool.BackendConfig{{Name: "a", Address: backend}}})
}

func TestRequestsOfDifferentClientsShareNoConnectionThatNamesOne(t *testing.T) {
	back := tcpBackend(t, func(c *net.TCPConn) {
		h, err := proxyheader.Read(c)
		if err != nil {
			return
		}
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			text := h.From.Addr().String()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		}
	})
	l := proxyTo(t, proxyheader.V2, ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: localhost()}, back)
	for i := range 4 {
		from := fmt.Sprintf("192.0.2.%d", i+1)
		got := l.talk("PROXY TCP4 " + from + " 10.0.0.10 1 80\r\n" + strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2) +
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if n := strings.Count(got, "\r\n\r\n"+from); n != 3 {
			t.Errorf("%d of 3 requests of %s were told as its own: %q", n, from, got)
		}
	}
}

func TestWhatIsSampledIsToldOnceAMinute(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: TCP}, func(*duplex) {}, func(*bubble) {
		var s sampled
		var told []int
		for range 150 {
			if n, tell := s.now(); tell {
				told = append(told, n)
			}
			time.Sleep(time.Second)
		}
		if got, want := fmt.Sprint(told), "[1 60 60]"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}
