package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	x "golang.org/x/net/http2"

	"github.com/tandem-lb/tandem/proxy/certs"
)

// h2c returns a client that speaks HTTP/2 to the lab without TLS.
func (l *lab) h2c() *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("tcp", l.addr)
	}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	l.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func h2cLab(t *testing.T, backends ...netip.AddrPort) *lab {
	t.Helper()
	return newLab(t, ListenerConfig{Protocol: HTTP, H2C: true}, backends...)
}

func fetch(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestHTTP2IsChosenByALPN(t *testing.T) {
	a := newAuthority(t)
	l := newLab(t, ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{a.sign("one.example.org")}}}, web(t, tellTLS))
	tr := &http.Transport{TLSClientConfig: a.client("one.example.org"), ForceAttemptHTTP2: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("tcp", l.addr)
	}}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	if resp, got := fetch(t, c, "https://one.example.org/"); resp.ProtoMajor != 2 || got != "GET one.example.org proto=https " {
		t.Errorf("%s %q", resp.Proto, got)
	}
	req, _ := http.NewRequest("GET", "https://one.example.org/", nil)
	req.Host = "two.example.org"
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 421 {
		t.Errorf("another host is answered %d", resp.StatusCode)
	}
}

// TestHTTP2CarriesManyRequests moves bodies both ways, larger than all windows, in many streams at a time.
func TestHTTP2CarriesManyRequests(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		}
		w.Write(b)
	}))
	c := l.h2c()
	fetch(t, c, "http://x/") // the connection that all others use
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i%26)}, 40_000*(i%8)+i)
			path, kind := "/length", io.Reader(bytes.NewReader(body))
			if i%2 == 0 {
				path, kind = "/chunks", struct{ io.Reader }{kind} // of unknown length
			}
			resp, err := c.Post("http://x"+path, "text/plain", kind)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("request %d: %d bytes of %d, %v", i, len(got), len(body), err)
			}
		})
	}
	wg.Wait()
	if n := l.proxy.Accepted(); n != 1 {
		t.Errorf("%d connections, want all requests on one", n)
	}
}

func TestHTTP2CarriesTrailersBothWays(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "body")
		w.Header().Set("X-End", "got "+r.Trailer.Get("X-Client"))
	}))
	req, _ := http.NewRequest("POST", "http://x/", struct{ io.Reader }{strings.NewReader("abc")})
	req.Trailer = http.Header{"X-Client": {"mine"}}
	resp, err := l.h2c().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	if string(b) != "body" || resp.Trailer.Get("X-End") != "got mine" {
		t.Errorf("%q, trailers %v", b, resp.Trailer)
	}
}

func TestHTTP2CancelIsNotTheBackendsFault(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	l := h2cLab(t, web(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		close(left)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://x/", nil)
	done := make(chan error)
	go func() {
		_, err := l.h2c().Do(req)
		done <- err
	}()
	<-asked
	cancel()
	<-done
	<-left // the backend learns of it
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 || b.Total != 1 {
		t.Errorf("the backend is blamed, or asked again: %+v", b)
	}
}

func TestHTTP2StreamsEvents(t *testing.T) {
	next := make(chan struct{})
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	resp, err := l.h2c().Get("http://x/")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b := make([]byte, 9)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "data: x\n\n" {
			t.Fatalf("%q, %v", b, err)
		}
		next <- struct{}{}
	}
	resp.Body.Close()
}

// raw is a connection on which frames are written by hand.
func (l *lab) raw() (*x.Framer, net.Conn) {
	l.t.Helper()
	c := l.dial()
	io.WriteString(c, x.ClientPreface)
	f := x.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		l.t.Fatal(err)
	}
	return f, c
}

// until reads frames until want says that it was the one.
func until(t *testing.T, f *x.Framer, want func(x.Frame) bool) {
	t.Helper()
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("waiting for a frame: %v", err)
		}
		if want(fr) {
			return
		}
	}
}

func TestHTTP2IsAskedAndThenToldToLeave(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		io.WriteString(w, "late")
	}))
	f, _ := l.raw()
	get := x.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x86, 0x84, 0x41, 1, 'x'}, EndStream: true, EndHeaders: true}
	if err := f.WriteHeaders(get); err != nil {
		t.Fatal(err)
	}
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- l.proxy.Shutdown(t.Context()) }()
	goAway := func(last uint32) func(x.Frame) bool {
		return func(fr x.Frame) bool {
			if p, ok := fr.(*x.PingFrame); ok && !p.IsAck() {
				_ = f.WritePing(true, p.Data)
			}
			g, ok := fr.(*x.GoAwayFrame)
			return ok && g.LastStreamID == last && g.ErrCode == x.ErrCodeNo
		}
	}
	until(t, f, goAway(1<<31-1))
	get.StreamID = 3 // sent before it was heard
	if err := f.WriteHeaders(get); err != nil {
		t.Fatal(err)
	}
	<-asked
	until(t, f, goAway(3))
	close(answer)
	for range 2 {
		until(t, f, func(fr x.Frame) bool { d, ok := fr.(*x.DataFrame); return ok && d.StreamEnded() })
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
