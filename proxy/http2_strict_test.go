package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	x "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// got is an answer in one stream.
type got struct {
	status, body string
	interim      []string
	trailers     []hpack.HeaderField
	reset        x.ErrCode
	wasReset     bool
}

// answerOf reads until a stream has ended. A connection that is read by this must not be read by another decoder.
func answerOf(t *testing.T, f *x.Framer, id uint32) (a got) {
	t.Helper()
	if f.ReadMetaHeaders == nil {
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	}
	until(t, f, func(fr x.Frame) bool {
		if g, ok := fr.(*x.GoAwayFrame); ok && g.ErrCode != x.ErrCodeNo {
			t.Fatalf("sent away: %v", g)
		}
		if fr.Header().StreamID != id {
			return false
		}
		switch fr := fr.(type) {
		case *x.MetaHeadersFrame:
			switch st := fr.PseudoValue("status"); {
			case st == "":
				a.trailers = fr.RegularFields()
			case st[0] == '1':
				a.interim = append(a.interim, st)
			default:
				a.status = st
			}
			return fr.StreamEnded()
		case *x.DataFrame:
			a.body += string(fr.Data())
			return fr.StreamEnded()
		case *x.RSTStreamFrame:
			a.reset, a.wasReset = fr.ErrCode, true
			return true
		}
		return false
	})
	return a
}

func TestHTTP2RefusesWhatCouldBeUnderstoodInTwoWays(t *testing.T) {
	asked := make(chan string, 100)
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // its client was refused within the body
		}
		asked <- fmt.Sprintf("%s %s host=%s cookie=%q te=%q %v body=%q", r.Method, r.RequestURI, r.Host, r.Header.Get("Cookie"), r.Header.Get("TE"), r.ContentLength, b)
		io.WriteString(w, "ok")
	}))
	m := func(pairs ...string) []byte { return fields(pairs...) }
	base := []string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "x"}
	with := func(pairs ...string) []byte { return m(append(append([]string{}, base...), pairs...)...) }
	for _, c := range []struct {
		what  string
		block []byte
		data  []string // the last ends the stream; none: the header does
		want  string   // of the backend; else status, or empty for a reset
	}{
		{"well", with("content-length", "3"), []string{"a", "bc"}, `POST / host=x cookie="" te="" 3 body="abc"`},
		{"cookies are joined", with("cookie", "a=1", "b", "c", "cookie", "d=2"), nil, `POST / host=x cookie="a=1; d=2" te="" 0 body=""`},
		{"te: trailers", with("te", "trailers"), nil, `POST / host=x cookie="" te="trailers" 0 body=""`},
		{"host alone", m(":method", "GET", ":scheme", "http", ":path", "/", "host", "y"), nil, `GET / host=y cookie="" te="" 0 body=""`},
		{"host and authority agree", with("host", "X"), nil, `POST / host=X cookie="" te="" 0 body=""`},
		{"te: gzip", with("te", "gzip"), nil, ""},
		{"host and authority differ", with("host", "y"), nil, ""},
		{"two hosts", with("host", "x", "host", "x"), nil, ""},
		{"connection", with("connection", "close"), nil, ""},
		{"proxy-connection", with("proxy-connection", "close"), nil, ""},
		{"keep-alive", with("keep-alive", "1"), nil, ""},
		{"transfer-encoding", with("transfer-encoding", "chunked"), []string{"0\r\n\r\n"}, ""},
		{"upgrade", with("upgrade", "h2c"), nil, ""},
		{"http2-settings", with("http2-settings", "AAMAAABk"), nil, ""},
		{"uppercase name", with("X-A", "1"), nil, ""},
		{"empty name", with("", "1"), nil, ""},
		{"space in a name", with("a b", "1"), nil, ""},
		{"colon in a name", with("a:b", "1"), nil, ""},
		{"line end in a name", with("a\r\nb", "1"), nil, ""},
		{"line end in a value", with("a", "1\r\nb: 2"), nil, ""},
		{"line feed in a value", with("a", "1\n"), nil, ""},
		{"nul in a value", with("a", "1\x00"), nil, ""},
		{"space before a value", with("a", " 1"), nil, ""},
		{"tab behind a value", with("a", "1\t"), nil, ""},
		{"line end in a cookie", with("cookie", "a\r\nb: c"), nil, ""},
		{"line end in a method", m(":method", "GET / HTTP/1.1\r\nX: ", ":scheme", "http", ":path", "/", ":authority", "x"), nil, ""},
		{"space in a path", m(":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1", ":authority", "x"), nil, ""},
		{"line end in a path", m(":method", "GET", ":scheme", "http", ":path", "/\r\nX: y", ":authority", "x"), nil, ""},
		{"path without a slash", m(":method", "GET", ":scheme", "http", ":path", "x", ":authority", "x"), nil, ""},
		{"absolute path", m(":method", "GET", ":scheme", "http", ":path", "http://y/", ":authority", "x"), nil, ""},
		{"empty path", m(":method", "GET", ":scheme", "http", ":path", "", ":authority", "x"), nil, ""},
		{"fragment", m(":method", "GET", ":scheme", "http", ":path", "/a#b", ":authority", "x"), nil, "400"},
		{"line end in an authority", m(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x\r\nX: y"), nil, ""},
		{"user in an authority", m(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@x"), nil, "400"},
		{"no authority", m(":method", "GET", ":scheme", "http", ":path", "/"), nil, "400"},
		{"another scheme", m(":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "x"), nil, ""},
		{"no scheme", m(":method", "GET", ":path", "/", ":authority", "x"), nil, ""},
		{"no method", m(":scheme", "http", ":path", "/", ":authority", "x"), nil, ""},
		{"no path", m(":method", "GET", ":scheme", "http", ":authority", "x"), nil, ""},
		{"path twice", m(":method", "GET", ":scheme", "http", ":path", "/", ":path", "/", ":authority", "x"), nil, ""},
		{"pseudo behind others", m(":method", "GET", ":scheme", "http", ":path", "/", "a", "b", ":authority", "x"), nil, ""},
		{"of an answer", with(":status", "200"), nil, ""},
		{"unknown pseudo", with(":x", "1"), nil, ""},
		{"connect", m(":method", "CONNECT", ":authority", "x:443"), nil, ""},
		{"connect, extended", m(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "x"), nil, ""},
		{"more than its length", with("content-length", "3"), []string{"abcd"}, ""},
		{"less than its length", with("content-length", "3"), []string{"ab"}, ""},
		{"nothing of its length", with("content-length", "3"), nil, ""},
		{"two lengths", with("content-length", "3", "content-length", "3"), []string{"abc"}, ""},
		{"lengths in a list", with("content-length", "3, 3"), []string{"abc"}, ""},
		{"signed length", with("content-length", "+3"), []string{"abc"}, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			f, _ := l.raw()
			openStream(t, f, 1, len(c.data) == 0, c.block)
			for i, d := range c.data {
				if err := f.WriteData(1, i == len(c.data)-1, []byte(d)); err != nil {
					t.Fatal(err)
				}
			}
			a := answerOf(t, f, 1)
			switch {
			case len(c.want) > 3:
				if a.status != "200" {
					t.Fatalf("refused: %+v", a)
				}
				if seen := <-asked; seen != c.want {
					t.Errorf("the backend was asked\n%s, want\n%s", seen, c.want)
				}
				return
			case c.want == "":
				if !a.wasReset || a.reset != x.ErrCodeProtocol {
					t.Errorf("%+v, want a reset by PROTOCOL_ERROR", a)
				}
			case a.status != c.want:
				t.Errorf("%+v, want %s", a, c.want)
			}
			select {
			case seen := <-asked:
				t.Errorf("the backend was asked %s", seen)
			default:
			}
			openStream(t, f, 3, true, getBlock()) // the connection goes on
			if a := answerOf(t, f, 3); a.status != "200" {
				t.Errorf("the next one: %+v", a)
			}
			<-asked
		})
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("the backend is blamed: %+v", b)
	}
}

func TestHTTP2InterimAnswersAndBodies(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hints":
			w.WriteHeader(103)
		case "/none":
			w.WriteHeader(204)
			return
		case "/same":
			w.WriteHeader(304)
			return
		}
		b, _ := io.ReadAll(r.Body) // tells who expects it to go on
		fmt.Fprintf(w, "%d", len(b))
	}))
	path := func(method, path string, more ...string) []byte {
		return fields(append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "x"}, more...)...)
	}
	for _, c := range []struct {
		block []byte
		body  string
		want  got
	}{
		{path("GET", "/hints"), "", got{status: "200", body: "0", interim: []string{"103"}}},
		{path("POST", "/", "expect", "100-continue"), "abc", got{status: "200", body: "3", interim: []string{"100"}}},
		{path("HEAD", "/"), "", got{status: "200"}},
		{path("GET", "/none"), "", got{status: "204"}},
		{path("GET", "/same"), "", got{status: "304"}},
	} {
		f, _ := l.raw()
		openStream(t, f, 1, c.body == "", c.block)
		if c.body != "" {
			f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			until(t, f, func(fr x.Frame) bool {
				h, ok := fr.(*x.MetaHeadersFrame)
				return ok && h.PseudoValue("status") == "100"
			})
			if err := f.WriteData(1, true, []byte(c.body)); err != nil {
				t.Fatal(err)
			}
			c.want.interim = nil
		}
		if a := answerOf(t, f, 1); fmt.Sprint(a) != fmt.Sprint(c.want) {
			t.Errorf("%+v, want %+v", a, c.want)
		}
	}
}

func TestHTTP2RefusesTrailersThatCouldBeHeaders(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); io.WriteString(w, "ok") }))
	for _, bad := range [][]string{{"content-length", "1"}, {"host", "y"}, {"transfer-encoding", "chunked"}, {":path", "/"}, {"a", "b\r\nc: d"}, {"A", "b"}, {"cookie", "a"}} {
		f, _ := l.raw()
		openStream(t, f, 1, false, fields(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "x"))
		openStream(t, f, 1, true, fields(bad...))
		if a := answerOf(t, f, 1); !a.wasReset || a.reset != x.ErrCodeProtocol {
			t.Errorf("%q: %+v", bad, a)
		}
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("the backend is blamed: %+v", b)
	}
}

func TestHTTP2IsLogged(t *testing.T) {
	asked := make(chan struct{})
	cfg, pools := ListenerConfig{Protocol: HTTP, H2C: true, MaxHeader: 4096}, []pool.Config{webPool(web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			asked <- struct{}{}
			<-r.Context().Done()
		}
		io.WriteString(w, "ok")
	}))}
	lines := logged(t, cfg, pools, func(l *lab) {
		f, _ := l.raw()
		openStream(t, f, 1, true, getBlock())
		answerOf(t, f, 1)
		openStream(t, f, 3, true, fields(":method", "GET", ":scheme", "http", ":path", "/hang", ":authority", "x"))
		<-asked
		if err := f.WriteRSTStream(3, x.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
		openStream(t, f, 5, true, getBlock("a", strings.Repeat("x", 6000)))
		answerOf(t, f, 5)
	})
	got := map[string]bool{}
	for _, line := range lines {
		got[line.String()] = true
	}
	t.Log(got)
	if len(lines) != 3 {
		t.Errorf("%d lines, want 3: %v", len(lines), got)
	}
}
