package http1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// parseRequest reads a raw request as a server would.
func parseRequest(raw string) (*Request, error) {
	b := []byte(raw)
	n, err := HeaderEnd(b, 0)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errShort
	}
	r := &Request{}
	return r, r.Parse(b[:n])
}

var errShort = errors.New("header has no end")

// refusedRequests is what proxies and backends are known to read differently, or to be hurt by.
var refusedRequests = []struct {
	name, raw string
	want      error
}{
	{"length beside coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ErrLengthCoding},
	{"coding beside length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", ErrLengthCoding},
	{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", ErrLength},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", ErrLength},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", ErrLength},
	{"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", ErrLength},
	{"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", ErrLength},
	{"hex length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", ErrLength},
	{"length with a space in it", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", ErrLength},
	{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ErrLength},
	{"length beyond all bounds", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", ErrLength},
	{"coding in a list", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrCoding},
	{"coding twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCoding},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", ErrCoding},
	{"another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", ErrCoding},
	{"nearly chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", ErrCoding},
	{"chunked in capitals", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", ErrCoding},
	{"chunked with a parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x=y\r\n\r\n", ErrCoding},
	{"chunked in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", ErrCoding},
	{"chunked with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n", ErrFieldValue},
	{"empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", ErrCoding},
	{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", ErrOldCoding},
	{"space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", ErrFieldName},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", ErrFieldName},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", ErrFieldName},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", ErrFieldName},
	{"name with a control character", "GET / HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n", ErrFieldName},
	{"name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n", ErrFieldName},
	{"name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: b\r\n\r\n", ErrFieldName},
	{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", ErrObsFold},
	{"line folded by a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", ErrObsFold},
	{"fold before any field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", ErrObsFold},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", ErrBareLF},
	{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", ErrBareLF},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", ErrBareLF},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", ErrFieldValue},
	{"two CR before LF", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n", ErrFieldValue},
	{"bare CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"CR at the end of the request line", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n", ErrFieldValue},
	{"NUL deep in a long value", "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789abcdef\x000123456789abcdef\r\n\r\n", ErrFieldValue},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456\x7f89abcdef\r\n\r\n", ErrFieldValue},
	{"escape in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[0m\r\n\r\n", ErrFieldValue},
	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"target beyond ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", ErrFragment},
	{"no Host", "GET / HTTP/1.1\r\nX: b\r\n\r\n", ErrHost},
	{"no field at all", "GET / HTTP/1.1\r\n\r\n", ErrHost},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ErrHost},
	{"the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ErrHost},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", ErrHost},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ErrHost},
	{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", ErrHost},
	{"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ErrHost},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrHost},
	{"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", ErrHost},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHost},
	{"Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ErrHost},
	{"target names another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrAuthority},
	{"target names another port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrAuthority},
	{"target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"target with another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"target without a slash", "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"empty target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", ErrRequestLine},
	{"tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"method with a bracket", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"endless method", strings.Repeat("A", 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"HTTP/0.9", "GET /\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"HTTP/2 in clothes of 1", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", ErrVersion},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrVersion},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", ErrVersion},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", ErrRequestLine},
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", ErrConnect},
	{"Connection names Host", "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", ErrConnection},
	{"Connection names Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: content-length\r\n\r\n", ErrConnection},
	{"Connection is no token", "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n", ErrConnection},
	{"Connection is endless", "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + strings.Repeat("x,", 20) + "\r\n\r\n", ErrConnection},
	{"unknown expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n", ErrExpect},
	{"too many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 128) + "\r\n", ErrTooManyField},
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	for _, c := range refusedRequests {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parseRequest(c.raw); !errors.Is(err, c.want) {
				t.Errorf("%q: %v, want %v", c.raw, err, c.want)
			}
		})
	}
}

func TestRequestsAreUnderstood(t *testing.T) {
	type want struct {
		method, target, authority string
		minor                     int
		length                    int64
		chunked, keep, websocket  bool
		cont, trailers            bool
	}
	for _, c := range []struct {
		name, raw string
		want      want
	}{
		{"plain", "GET /a?b=c%20d HTTP/1.1\r\nHost: a.example:8080\r\n\r\n",
			want{"GET", "/a?b=c%20d", "a.example:8080", 1, -1, false, true, false, false, false}},
		{"own method", "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", want{"PURGE", "/", "a", 1, -1, false, true, false, false, false}},
		{"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", want{"GET", "/", "a", 1, -1, false, false, false, false, false}},
		{"close wins", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", want{"GET", "/", "a", 1, -1, false, false, false, false, false}},
		{"old client", "GET / HTTP/1.0\r\n\r\n", want{"GET", "/", "", 0, -1, false, false, false, false, false}},
		{"old client keeps", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", want{"GET", "/", "a", 0, -1, false, true, false, false, false}},
		{"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0012 \r\n\r\n", want{"POST", "/", "a", 1, 12, false, true, false, false, false}},
		{"chunked", "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\n\r\n", want{"POST", "/", "a", 1, -1, true, true, false, false, false}},
		{"absolute form", "GET http://A.example/x HTTP/1.1\r\nHost: a.EXAMPLE\r\n\r\n", want{"GET", "/x", "a.EXAMPLE", 1, -1, false, true, false, false, false}},
		{"absolute form without path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", want{"GET", "/", "a", 1, -1, false, true, false, false, false}},
		{"absolute form with query only", "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", want{"GET", "/?q", "a", 1, -1, false, true, false, false, false}},
		{"star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", want{"OPTIONS", "*", "a", 1, -1, false, true, false, false, false}},
		{"IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", want{"GET", "/", "[2001:db8::1]:80", 1, -1, false, true, false, false, false}},
		{"websocket", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", want{"GET", "/ws", "a", 1, -1, false, true, true, false, false}},
		{"h2c is not for us", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", want{"GET", "/", "a", 1, -1, false, true, false, false, false}},
		{"upgrade without Connection", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", want{"GET", "/", "a", 1, -1, false, true, false, false, false}},
		{"upgrade with a body", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", want{"GET", "/", "a", 1, 1, false, true, false, false, false}},
		{"waits for 100", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", want{"PUT", "/", "a", 1, 1, false, true, false, true, false}},
		{"old client cannot wait", "PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", want{"PUT", "/", "a", 0, 1, false, false, false, false, false}},
		{"reads trailers", "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate;q=0.5\r\n\r\n", want{"GET", "/", "a", 1, -1, false, true, false, false, true}},
		{"values may be anything visible", "GET / HTTP/1.1\r\nHost: a\r\nX:\t\xe9 \x80 \xff\t\"#\r\n\r\n", want{"GET", "/", "a", 1, -1, false, true, false, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseRequest(c.raw)
			if err != nil {
				t.Fatalf("%q: %v", c.raw, err)
			}
			got := want{string(r.Method), string(r.Target), string(r.Authority), r.Minor, r.Length,
				r.Chunked, r.Keep, r.WebSocket, r.Continue, r.Trailers}
			if got != c.want {
				t.Errorf("%q:\n got %+v\nwant %+v", c.raw, got, c.want)
			}
		})
	}
}

func TestFieldsOfOneConnectionAreNotPassedOn(t *testing.T) {
	r, err := parseRequest("GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: X-Mine, X-Forwarded-For, close\r\nX-Mine: 1\r\n" +
		"Keep-Alive: 5\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\nX_Forwarded_For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n" +
		"TE: trailers\r\nUpgrade: h2c\r\nB: 2\r\nC:3\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(r.AppendFields(nil, Set(Other, Host))), "A: 1\r\nHost: a\r\nB: 2\r\nC:3\r\n"; got != want {
		t.Errorf("passed on %q, want %q", got, want)
	}
	if got, want := string(r.AppendFields(nil, Set(ForwardedFor))), "X-Forwarded-For: 2.2.2.2\r\n"; got != want {
		t.Errorf("a Connection field removed X-Forwarded-For: got %q, want %q", got, want)
	}
}

func TestHeaderEndIsFoundByteForByte(t *testing.T) {
	raw := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest")
	for i := range raw {
		n, err := HeaderEnd(raw[:i], max(0, i-1))
		want := 0
		if i > 27-1 {
			want = 27
		}
		if i > 27 { // scanned past the end already
			continue
		}
		if err != nil || n != want {
			t.Errorf("with %d bytes: %d, %v; want %d", i, n, err, want)
		}
	}
}

// FuzzRequest holds that whatever is let through is understood by net/http in the same way, as a backend
// would see it: this is what makes smuggling impossible.
func FuzzRequest(f *testing.F) {
	for _, c := range refusedRequests {
		f.Add([]byte(c.raw))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: \x80\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := HeaderEnd(b, 0)
		if err != nil || n == 0 {
			return
		}
		r := &Request{}
		if err := r.Parse(b[:n]); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("error %v is not an *Error", err)
			}
			return
		}
		passed := append([]byte(nil), r.Method...)
		passed = append(append(append(passed, ' '), r.Target...), " HTTP/1.1\r\n"...)
		passed = r.AppendFields(passed, Set(Other, Host, ContentLength, TransferEncoding))
		if len(r.Authority) == 0 {
			passed = append(passed, "Host: none\r\n"...)
		}
		passed = append(passed, "\r\n"...)
		if m := bytes.Count(passed, []byte("\r\n\r\n")); m != 1 {
			t.Fatalf("%q has %d ends", passed, m)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(passed)))
		if err != nil {
			// net/http knows more of URLs than we want to; that it refuses what we pass on harms nobody.
			return
		}
		length := r.Length
		if r.Chunked {
			length = -1
		} else if length < 0 {
			length = 0
		}
		if theirs.ContentLength != length || (len(theirs.TransferEncoding) > 0) != r.Chunked || theirs.Method != string(r.Method) {
			t.Fatalf("%q: net/http reads %s length %d coding %v, we read %s length %d chunked %v", passed,
				theirs.Method, theirs.ContentLength, theirs.TransferEncoding, r.Method, length, r.Chunked)
		}
		if len(r.Authority) > 0 && theirs.Host != string(r.Authority) {
			t.Fatalf("%q: net/http reads host %q, we read %q", passed, theirs.Host, r.Authority)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	raw := []byte("GET /some/path?with=query HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n")
	var r Request
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		n, _ := HeaderEnd(raw, 0)
		if err := r.Parse(raw[:n]); err != nil {
			b.Fatal(err)
		}
	}
}
