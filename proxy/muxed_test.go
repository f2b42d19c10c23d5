package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// h2Web is a backend that speaks HTTP/2 only.
func h2Web(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// h2Lab is an http listener before backends that speak HTTP/2.
func h2Lab(t *testing.T, backends ...*httptest.Server) *lab {
	t.Helper()
	pc := pool.Config{Name: "web", HTTP2: true}
	for i, s := range backends {
		pc.Backends = append(pc.Backends, pool.BackendConfig{Name: string(rune('a' + i)), Address: addrOf(s.Listener)})
	}
	return newLabOf(t, Config{Listeners: []ListenerConfig{{Protocol: HTTP}}}, pc)
}

func mirror(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Sum")
	w.Header().Set("From", r.RemoteAddr)
	w.Header().Set("Saw", fmt.Sprint(r.Proto, " ", r.Host, " ", r.Method, " ", r.RequestURI, " ", r.ContentLength, " ", r.Header.Get("X-Custom")))
	n, _ := io.Copy(w, r.Body)
	w.Header().Set("Sum", fmt.Sprint(n, "-", r.Trailer.Get("End")))
}

func TestBackendsAreAskedByHTTP2(t *testing.T) {
	l := h2Lab(t, h2Web(t, mirror))
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	var from string
	for i, size := range []int{0, 5, 20 << 10, len(body), 3} {
		for _, chunked := range []bool{false, true} {
			var r io.Reader = bytes.NewReader(body[:size])
			length := int64(size)
			if chunked {
				r, length = io.MultiReader(r), -1
			}
			req, _ := http.NewRequest("POST", "http://"+l.addr+"/a/b?c=d", r)
			req.ContentLength = length
			req.Header.Set("X-Custom", "Value")
			if chunked {
				req.Trailer = http.Header{"End": []string{"here"}}
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, body[:size]) {
				t.Fatalf("%d bytes came back of %d: %v", len(got), size, err)
			}
			end := ""
			if chunked {
				end = "here"
			}
			if got, want := resp.Trailer.Get("Sum"), fmt.Sprint(size, "-", end); got != want {
				t.Errorf("trailer %q, want %q", got, want)
			}
			want := fmt.Sprint("HTTP/2.0 ", l.addr, " POST /a/b?c=d ", length, " Value")
			if size == 0 && !chunked {
				want = strings.Replace(want, "POST /a/b?c=d -1", "POST /a/b?c=d 0", 1)
			}
			if got := resp.Header.Get("Saw"); got != want {
				t.Errorf("the backend saw %q, want %q", got, want)
			}
			if i > 0 && resp.Header.Get("From") != from {
				t.Error("another connection was opened")
			}
			from = resp.Header.Get("From")
		}
	}
}

func TestRequestsShareAConnection(t *testing.T) {
	var mu sync.Mutex
	from := make(map[string]bool)
	gate, in := make(chan struct{}), atomic.Int64{}
	l := h2Lab(t, h2Web(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr] = true
		mu.Unlock()
		in.Add(1)
		<-gate
	}))
	const n = 2*mostStreams + 10
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if resp, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + l.addr); err != nil || resp.StatusCode != 200 {
				t.Error(resp, err)
			}
		})
	}
	eventually(t, "all are with the backend", func() bool { return in.Load() == n })
	if st := l.pools.Snapshot()[0].Backends[0]; st.Active != n {
		t.Errorf("%d uses, want %d", st.Active, n)
	}
	close(gate)
	wg.Wait()
	if len(from) != 3 {
		t.Errorf("%d connections, want 3", len(from))
	}
}

func TestBothWaysAtOnce(t *testing.T) {
	l := h2Lab(t, h2Web(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		w.WriteHeader(200)
		rc.Flush()
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			w.Write(bytes.ToUpper(b[:n]))
			rc.Flush()
			if err != nil {
				return
			}
		}
	}))
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", "http://"+l.addr, pr)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(resp.Body)
	for range 5 {
		io.WriteString(pw, "hello\n")
		if got, err := r.ReadString('\n'); got != "HELLO\n" {
			t.Fatal(got, err)
		}
	}
	pw.Close()
	if _, err := r.ReadByte(); err != io.EOF {
		t.Error("the end did not come:", err)
	}
}

func TestInterimAnswersComeFromHTTP2(t *testing.T) {
	l := h2Lab(t, h2Web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(103)
		w.WriteHeader(204)
	}))
	got := l.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 103 ") || !strings.Contains(got, "\r\n\r\nHTTP/1.1 204 ") {
		t.Errorf("%q", got)
	}
}

func TestBackendsAreAskedByHTTP2AndTLS(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		offers []string
		want   int
	}{{[]string{"h2"}, 200}, {[]string{"http/1.1"}, 503}} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP2(c.offers[0] == "h2")
		s.Config.Protocols.SetHTTP1(c.offers[0] != "h2")
		s.EnableHTTP2 = c.offers[0] == "h2"
		s.TLS = &tls.Config{Certificates: []tls.Certificate{a.pair(a.sign("127.0.0.1"))}}
		s.StartTLS()
		t.Cleanup(s.Close)
		pc := webPool(addrOf(s.Listener))
		pc.TLS, pc.HTTP2 = &pool.TLS{CAFile: a.file}, true
		l := newLabOf(t, Config{Listeners: []ListenerConfig{{Protocol: HTTP}}}, pc)
		resp, _ := ask(t, l.dial(), "x.example.org")
		if saw := resp.Header.Get("Saw"); resp.StatusCode != c.want || c.want == 200 && !strings.HasPrefix(saw, "HTTP/2.0 x.example.org GET") {
			t.Errorf("offered %v: %d %q, want %d", c.offers, resp.StatusCode, saw, c.want)
		}
	}
}

func TestABackendThatDoesNotSpeakHTTP2IsUnreachable(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(plain.Close)
	l := h2Lab(t, plain)
	if got := l.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("%q", got)
	}
	if st := l.pools.Snapshot()[0].Backends[0]; st.Failures != 1 {
		t.Errorf("%d failures, want 1", st.Failures)
	}
}
