package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// script is a backend that reads requests and writes raw answers, one for each.
func script(t *testing.T, answers ...string) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	var seen atomic.Int64
	return tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			n := int(seen.Add(1)) - 1
			if n >= len(answers) {
				return
			}
			io.WriteString(c, answers[n])
			if strings.Contains(answers[n], "onnection: close") {
				return
			}
		}
	}), &seen
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestAmbiguousRequestsNeverReachABackend(t *testing.T) {
	addr, seen := script(t, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP, MaxHeader: 8 << 10}, addr)
	for _, c := range []struct {
		name, raw string
		status    int
	}{
		{"length beside coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
		{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"other authority", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501},
		{"version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
		{"expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417},
		{"long target", "GET /" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"long header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 9<<10) + "\r\n\r\n", 431},
		{"many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", 200) + "\r\n", 431},
	} {
		// What follows must not be taken for a request: the connection ends.
		got := l.talk(c.raw + "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || strings.Count(got, "HTTP/1.1 ") != 1 ||
			!strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("%s: answer %q, want one %d with Connection: close", c.name, got, c.status)
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the backend saw %d requests", n)
	}
}

func TestRefusalArrivesThoughTheClientKeepsTalking(t *testing.T) {
	addr, _ := script(t, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	// Closed at once, the connection would be reset, for there is something unread.
	got := l.talk("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000))
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("got %q, want 400", got)
	}
}

func TestMalformedChunkIsTheClientsFault(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	got := l.talk("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("answer %q, want 400", got)
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("the backend is blamed: %+v", b)
	}
}

func TestMalformedAnswersBecome502(t *testing.T) {
	for name, answer := range map[string]string{
		"length beside coding": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"bare LF":              "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"folded line":          "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
		"split by a bare CR":   "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
		"another protocol":     "SSH-2.0-x\r\n\r\n",
		"endless header":       "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
		"unasked switch":       "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"malformed chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"endless interims":     strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 40),
	} {
		addr, _ := script(t, answer)
		l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
		got := l.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if name == "endless interims" {
			got = got[strings.LastIndex(got, "HTTP/1.1 "):]
		}
		if !strings.HasPrefix(got, "HTTP/1.1 502 ") {
			t.Errorf("%s: answer %.80q, want 502", name, got)
		}
		if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 1 {
			t.Errorf("%s: %d failures of the backend, want 1", name, b.Failures)
		}
	}
}

func TestAnswersEndWhereTheySay(t *testing.T) {
	for _, c := range []struct {
		name, request, answer, want string
		keep                        bool // the client's connection goes on
	}{
		{"length", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
		{"zero length", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"chunks and trailer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nSum: 1\r\nHost: x\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\n", true},
		{"chunks for an old client", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello!", false},
		{"length for an old client", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", true},
		{"until close", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello",
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", false},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true},
		{"HEAD of chunks", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"204", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"304", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
			"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n", true},
		{"hop-by-hop fields", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 OK\r\nA: 1\r\nConnection: keep-alive, X\r\nX: y\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nB_c: 2\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200 OK\r\nA: 1\r\nB_c: 2\r\nContent-Length: 2\r\n\r\nok", true},
		{"interim", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: X\r\nX: y\r\n\r\n" + okAnswer,
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + okAnswer, true},
		{"interim for an old client", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + okAnswer,
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", true},
		{"client closes", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", okAnswer,
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false},
		{"empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", okAnswer, okAnswer, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := script(t, c.answer, "HTTP/1.1 299 Second\r\nContent-Length: 0\r\n\r\n")
			l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
			if c.keep {
				c.request += "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
				c.want += "HTTP/1.1 299 Second\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
			}
			if got := l.talk(c.request); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// echoHeader answers with the header that it got.
func echoHeader(t *testing.T) netip.AddrPort {
	return tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			if line == "\r\n" {
				break
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.String())
	})
}

func TestRequestHeaderIsPassedOnWithItsOrigin(t *testing.T) {
	request := "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n" +
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 3.3.3.3\r\nForwarded: for=1.1.1.1\r\n" +
		"X_Forwarded_For: 4.4.4.4\r\nConnection: X-Forwarded-For, X-Secret, TE\r\nX-Secret: y\r\nUpgrade: h2c\r\nTE: trailers\r\nA: b\r\n\r\n"
	for _, c := range []struct {
		name    string
		trusted []netip.Prefix
		want    string
	}{
		{"from anyone", nil, "GET /x HTTP/1.1\r\nHost: a.example\r\nA: b\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" +
			"X-Forwarded-Host: a.example\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
		{"from a trusted proxy", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "GET /x HTTP/1.1\r\nHost: a.example\r\nA: b\r\n" +
			"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\nForwarded: for=1.1.1.1, for=127.0.0.1\r\nX-Forwarded-Proto: https\r\n" +
			"X-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 3.3.3.3\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, ListenerConfig{Protocol: HTTP, TrustedProxies: c.trusted}, echoHeader(t))
			conn := l.dial()
			io.WriteString(conn, request)
			if _, body := readResponse(t, bufio.NewReader(conn), "GET"); body != c.want {
				t.Errorf("backend saw  %q\nwant         %q", body, c.want)
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s=%s;", r.URL.Path, b)
	}))
	var raw strings.Builder
	var want strings.Builder
	for i := range 40 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&raw, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			fmt.Fprintf(&want, "/%d=;", i)
		case 1:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
			fmt.Fprintf(&want, "/%d=abc;", i)
		case 2:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n", i)
			fmt.Fprintf(&want, "/%d=def;", i)
		}
	}
	raw.WriteString("GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	want.WriteString("/end=;")
	conn := l.dial()
	go io.WriteString(conn, raw.String())
	r := bufio.NewReader(conn)
	var got strings.Builder
	for got.Len() < want.Len() {
		_, body := readResponse(t, r, "GET")
		got.WriteString(body)
	}
	if got.String() != want.String() {
		t.Errorf("got  %s\nwant %s", got.String(), want.String())
	}
}
