package mux

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestRequestsBecomeFrames(t *testing.T) {
	const head = "HEADERS 1 :method=%s :scheme=http :authority=a.example:80 :path=/x?y"
	start := "%s /x?y HTTP/1.1\r\nHost: a.example:80\r\nX-One: 1\r\nKeep-Alive: 5\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\nCookie: a=b; c\r\n"
	for _, c := range []struct {
		method string
		parts  []string
		want   []string
	}{
		{"GET", []string{"\r\n"}, []string{" x-one=1 cookie=a=b; c END"}},
		{"GET", []string{"TE: trailers\r\n\r\n"}, []string{" x-one=1 cookie=a=b; c te=trailers END"}},
		{"POST", []string{"Content-Length: 0\r\n\r\n"}, []string{" x-one=1 cookie=a=b; c content-length=0 END"}},
		{"POST", []string{"Content-Length: 5\r\n\r\nhello"}, []string{" x-one=1 cookie=a=b; c content-length=5", `DATA 1 "hello" END`}},
		{"POST", []string{"Content-Length: 5\r\n\r\n", "he", "llo"}, []string{" x-one=1 cookie=a=b; c content-length=5", `DATA 1 "he"`, `DATA 1 "llo" END`}},
		{"POST", []string{"Transfer-Encoding: chunked\r\n\r\n", "2\r\nhe\r\n", "3\r\nllo\r\n0\r\n\r\n"},
			[]string{" x-one=1 cookie=a=b; c", `DATA 1 "he"`, `DATA 1 "llo"`, `DATA 1 "" END`}},
		{"POST", []string{"Transfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2\r\nhe\r", "\n0\r\nSum: 7\r\n\r", "\n"},
			[]string{" x-one=1 cookie=a=b; c trailer=Sum", `DATA 1 "he"`, "HEADERS 1 sum=7 END"}},
		{"POST", []string{"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"}, []string{" x-one=1 cookie=a=b; c expect=100-continue"}},
	} {
		inLab(t, Config{}, func(l *lab) {
			s, err := l.set.Open(0, false, l.dial)
			if err != nil {
				t.Fatal(err)
			}
			c.parts[0] = strings.Replace(start, "%s", c.method, 1) + c.parts[0]
			for _, p := range c.parts {
				if n, err := io.WriteString(s, p); n != len(p) || err != nil {
					t.Fatalf("Write(%q) = %d, %v", p, n, err)
				}
				l.opened()
			}
			c.want[0] = strings.Replace(head, "%s", c.method, 1) + c.want[0]
			l.peer(0).expect(c.want...)
		})
	}
}

func TestFramesBecomeAnswers(t *testing.T) {
	for _, c := range []struct {
		method string
		say    func(p *peer)
		want   string
	}{
		{"GET", func(p *peer) { p.headers(1, true, ":status=200", "a=b") }, "HTTP/1.1 200 \r\na: b\r\ncontent-length: 0\r\n\r\n"},
		{"GET", func(p *peer) { p.headers(1, true, ":status=200", "content-type=application/grpc", "grpc-status=5") },
			"HTTP/1.1 200 \r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"},
		{"GET", func(p *peer) { p.headers(1, false, ":status=404", "content-length=3"); p.data(1, true, "abc") },
			"HTTP/1.1 404 \r\ncontent-length: 3\r\n\r\nabc"},
		{"GET", func(p *peer) { p.headers(1, false, ":status=200"); p.data(1, false, "abc"); p.data(1, true, "") },
			"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{"GET", func(p *peer) {
			p.headers(1, false, ":status=200", "content-type=application/grpc+proto", "content-length=3")
			p.data(1, false, "abc")
			p.headers(1, true, "grpc-status=0", "x=y")
		}, "HTTP/1.1 200 \r\ncontent-type: application/grpc+proto\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ngrpc-status: 0\r\nx: y\r\n\r\n"},
		{"GET", func(p *peer) { p.headers(1, false, ":status=103", "link=x"); p.headers(1, true, ":status=204") },
			"HTTP/1.1 103 \r\nlink: x\r\n\r\nHTTP/1.1 204 \r\n\r\n"},
		{"HEAD", func(p *peer) { p.headers(1, true, ":status=200", "content-length=77") }, "HTTP/1.1 200 \r\ncontent-length: 77\r\n\r\n"},
		{"GET", func(p *peer) { p.headers(1, true, ":status=304", "content-length=77") }, "HTTP/1.1 304 \r\ncontent-length: 77\r\n\r\n"},
	} {
		inLab(t, Config{}, func(l *lab) {
			s := l.open(c.method + get[3:])
			l.peer(0)
			c.say(l.peer(0))
			if got, err := l.read(s); got != c.want || err != nil {
				t.Errorf("read %q, %v, want %q", got, err, c.want)
			}
			l.peer(0).heard()
			s.Close()
			l.peer(0).expect() // nothing more is said about a stream that has ended
		})
	}
}

func TestSmallReadsGetAllOfTheAnswer(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open(get)
		p := l.peer(0)
		p.headers(1, false, ":status=200")
		p.data(1, true, strings.Repeat("x", 100))
		var got []byte
		for b := make([]byte, 7); ; {
			n, err := s.Read(b)
			if got = append(got, b[:n]...); err != nil {
				break
			}
		}
		if n := strings.Count(string(got), "x"); n != 100 || !strings.HasSuffix(string(got), "\r\n0\r\n\r\n") {
			t.Errorf("%d bytes of the body in %q", n, got)
		}
	})
}

// What breaks the rules ends its stream, or the connection, and is never passed on.
func TestMalformedAnswers(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"no status":           func(p *peer) { p.headers(1, true, "a=b") },
		"status 101":          func(p *peer) { p.headers(1, false, ":status=101") },
		"odd status":          func(p *peer) { p.headers(1, true, ":status=20") },
		"words for a status":  func(p *peer) { p.headers(1, true, ":status=ok") },
		"interim ends":        func(p *peer) { p.headers(1, true, ":status=103") },
		"a request":           func(p *peer) { p.headers(1, true, ":status=200", ":path=/") },
		"transfer-encoding":   func(p *peer) { p.headers(1, true, ":status=200", "transfer-encoding=chunked") },
		"connection":          func(p *peer) { p.headers(1, true, ":status=200", "connection=close") },
		"two lengths":         func(p *peer) { p.headers(1, false, ":status=200", "content-length=1", "content-length=1") },
		"signed length":       func(p *peer) { p.headers(1, false, ":status=200", "content-length=+1") },
		"length of 204":       func(p *peer) { p.headers(1, true, ":status=204", "content-length=1") },
		"length without body": func(p *peer) { p.headers(1, true, ":status=200", "content-length=1") },
		"capitals":            func(p *peer) { p.headers(1, true, ":status=200", "Abc=d") },
		"a line break":        func(p *peer) { p.headers(1, true, ":status=200", "a=b\r\nc: d") },
		"too many interim": func(p *peer) {
			for range 17 {
				p.headers(1, false, ":status=103")
			}
		},
		"data before the header": func(p *peer) { p.data(1, true, "x") },
		"larger than is allowed": func(p *peer) {
			p.headers(1, true, ":status=200", "a="+strings.Repeat("x", 9<<10), "b="+strings.Repeat("y", 9<<10))
		},
		"trailers in the header": func(p *peer) {
			p.headers(1, false, ":status=200", "content-length=2")
			p.headers(1, false, ":status=200")
		},
		"a broken status": func(p *peer) { p.headers(1, false, ":status=2 0") },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, Config{}, func(l *lab) {
				s := l.open(get)
				say(l.peer(0))
				got, err := l.read(s)
				if !errors.Is(err, ErrMalformed) || strings.Contains(got, "HTTP/1.1 2") && !strings.Contains(got, "content-length: 2") {
					t.Errorf("read %q, %v, want ErrMalformed", got, err)
				}
				heard := l.peer(0).heard()
				if last := heard[len(heard)-1]; last != "RST_STREAM 1 PROTOCOL_ERROR" {
					t.Errorf("backend heard %q", heard)
				}
				// The others go on.
				other := l.open(get)
				l.peer(0).headers(3, true, ":status=204")
				if got, err := l.read(other); err != nil || l.opened() != 1 {
					t.Errorf("afterwards: %q, %v, %d connections", got, err, l.opened())
				}
			})
		})
	}
}

func TestBodiesThatDoNotKeepTheirWord(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"short":                func(p *peer) { p.data(1, true, "ab") },
		"long":                 func(p *peer) { p.data(1, false, "abcd") },
		"short, with trailers": func(p *peer) { p.data(1, false, "a"); p.headers(1, true, "x=y") },
		"odd trailers":         func(p *peer) { p.data(1, false, "abc"); p.headers(1, true, "content-length=3") },
	} {
		inLab(t, Config{}, func(l *lab) {
			s := l.open(get)
			l.peer(0).headers(1, false, ":status=200", "content-length=3")
			say(l.peer(0))
			if got, err := l.read(s); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: read %q, %v, want ErrMalformed", name, got, err)
			}
		})
	}
}

// Whoever breaks the rules of the connection loses it.
func TestBrokenConnections(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(p *peer)
		want string
	}{
		"a push": {func(p *peer) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, "PROTOCOL_ERROR"},
		"headers of no stream":    {func(p *peer) { p.headers(7, true, ":status=200") }, "PROTOCOL_ERROR"},
		"headers of the backend":  {func(p *peer) { p.headers(2, true, ":status=200") }, "PROTOCOL_ERROR"},
		"data of no stream":       {func(p *peer) { p.data(5, true, "x") }, "PROTOCOL_ERROR"},
		"reset of no stream":      {func(p *peer) { _ = p.WriteRSTStream(5, 0) }, "PROTOCOL_ERROR"},
		"window of no stream":     {func(p *peer) { _ = p.WriteWindowUpdate(5, 1) }, "PROTOCOL_ERROR"},
		"a window too large":      {func(p *peer) { _ = p.WriteWindowUpdate(0, 1<<31-1) }, "FLOW_CONTROL_ERROR"},
		"a frame too large":       {func(p *peer) { _ = p.WriteRawFrame(0, 0, 1, make([]byte, 17<<10)) }, "FRAME_SIZE_ERROR"},
		"settings that are wrong": {func(p *peer) { _ = p.WriteRawFrame(4, 0, 0, []byte{0, 4, 255, 255, 255, 255}) }, "FLOW_CONTROL_ERROR"},
		"a header cut off": {func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff}, EndHeaders: true})
		}, "COMPRESSION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, Config{}, func(l *lab) {
				s := l.open(get)
				p := l.peer(0)
				p.heard()
				c.say(p)
				if got, err := l.read(s); err == nil || got != "" {
					t.Errorf("read %q, %v", got, err)
				} else if _, ok := errors.AsType[*LostError](err); !ok {
					t.Errorf("error %v, want that the connection is lost", err)
				}
				p.expect("GOAWAY 0 " + c.want)
				l.open(get)
				if n := l.opened(); n != 2 {
					t.Errorf("%d connections, want 2", n)
				}
			})
		})
	}
}
