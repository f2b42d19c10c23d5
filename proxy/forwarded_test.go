package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"testing"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// FuzzForwardedRequest holds that whatever header reaches a backend is one header, with the length that the client
// gave and the client's true address in it, as net/http reads it.
func FuzzForwardedRequest(f *testing.F) {
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\nTE: trailers\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x-forwarded-for\r\nUpgrade: websocket\r\nX_Forwarded_For: 6.6.6.6\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\nForwarded: for=6.6.6.6\r\n\r\n",
		// A bare CR, which some readers take for the end of a line.
		"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := http1.HeaderEnd(b, 0)
		if err != nil || n == 0 {
			return
		}
		w := &work{way: &way{}}
		r := &w.req
		if r.Parse(b[:n]) != nil {
			return
		}
		c := &client{peer: netip.MustParseAddrPort("192.0.2.9:1"), listener: &listener{}}
		c.listener.cfg.Bind = netip.MustParseAddrPort("192.0.2.1:80")
		out := c.appendRequest(nil, w)
		if end, err := http1.HeaderEnd(out, 0); err != nil || end != len(out) {
			t.Fatalf("%q: header of %d bytes ends after %d, %v", out, len(out), end, err)
		}
		var again http1.Request
		if err := again.Parse(out); err != nil {
			t.Fatalf("%q: what we send, we would refuse: %v", out, err)
		}
		if again.Chunked != r.Chunked || max(again.Length, 0) != max(r.Length, 0) || again.WebSocket != r.WebSocket {
			t.Fatalf("%q: length %d chunked %v, want %d %v", out, again.Length, again.Chunked, r.Length, r.Chunked)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if err != nil {
			return // net/http wants more of a URL than we do
		}
		if got := theirs.Header["X-Forwarded-For"]; len(got) != 1 || got[0] != "192.0.2.9" {
			t.Fatalf("%q: X-Forwarded-For is %q", out, got)
		}
		if theirs.Header.Get("Forwarded") != "" || theirs.Header.Get("X_Forwarded_For") != "" {
			t.Fatalf("%q: the client speaks for itself", out)
		}
	})
}
