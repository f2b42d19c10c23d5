package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// A client of HTTP/1.1 says more in its first packet than the beginning of HTTP/2 is long, or less.
func TestListenerForH2CServesHTTP1(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto + r.URL.Path)) }))
	for _, raw := range []string{
		"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET /b HTTP/1.0\r\n\r\n",
		"PRI /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	} {
		if got := l.talk(raw); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, raw[4:6]) {
			t.Errorf("%q is answered %q", raw, got)
		}
	}
}
