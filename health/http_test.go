package health

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// probeOnce makes one probe of a backend that does h with the connection, and checks that nothing is left of it.
func probeOnce(t *testing.T, cfg Config, h func(net.Conn)) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		f.serve(web1, h)
		cfg.Type = HTTP
		p := newProber(Target{Address: web1, Config: cfg}, f.connect)
		started := time.Now()
		r = p.probe(t.Context())
		if d := time.Since(started); d > p.cfg.Timeout+drainTime {
			t.Errorf("the probe took %v, timeout %v", d, p.cfg.Timeout)
		}
		if f.open != 0 {
			t.Error("the connection was left open")
		}
		f.wg.Wait()
	})
	return r
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// drip makes a backend that sends text again and again, a piece every pause, after it has read the request.
func drip(head, piece string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		if readHeader(c) == "" {
			return
		}
		_, err := c.Write([]byte(head))
		for err == nil {
			time.Sleep(pause)
			_, err = c.Write([]byte(piece))
		}
	}
}

func silent(c net.Conn) { readHeader(c); readHeader(c) }

func TestAnswersAreJudged(t *testing.T) {
	big := strings.Repeat("x", maxBody)
	for name, c := range map[string]struct {
		cfg    Config
		do     func(net.Conn)
		ok     bool
		reason string
	}{
		"200":                     {Config{}, answer(ok), true, "status 200"},
		"redirect is not ensued":  {Config{}, answer("HTTP/1.1 302 Found\r\nLocation: http://169.254.0.1/\r\n\r\n"), true, "status 302"},
		"503":                     {Config{}, answer("HTTP/1.1 503 Busy\r\n\r\n"), false, "status 503, want 200-399"},
		"expected list":           {Config{Expect: []StatusRange{{200, 204}, {301, 301}}}, answer("HTTP/1.1 205 x\r\n\r\n"), false, "status 205, want 200-204, 301"},
		"expected 401":            {Config{Expect: []StatusRange{{401, 401}}}, answer("HTTP/1.1 401 x\r\n\r\n"), true, "status 401"},
		"http/1.0":                {Config{}, answer("HTTP/1.0 200 OK\r\n\r\nhello"), true, "status 200"},
		"interim answers":         {Config{}, answer("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" + ok), true, "status 200"},
		"endless interim answers": {Config{}, drip("", "HTTP/1.1 102 Busy\r\n\r\n", time.Millisecond), false, "answer: more than 5 interim (1xx) answers"},
		"switching protocols":     {Config{Expect: []StatusRange{{101, 101}}}, answer("HTTP/1.1 101 Up\r\n\r\n"), true, "status 101"},
		"head":                    {Config{Method: "HEAD"}, answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), true, "status 200"},

		"body":             {Config{ExpectBody: "ell"}, answer(ok), true, `status 200, body contains "ell"`},
		"body without":     {Config{ExpectBody: "bye"}, answer(ok), false, `status 200, body does not contain "bye"`},
		"body chunked":     {Config{ExpectBody: "hello"}, answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), true, `status 200, body contains "hello"`},
		"body in pieces":   {Config{ExpectBody: "hello"}, drip("HTTP/1.1 200 OK\r\n\r\nhe", "llo", time.Millisecond), true, `status 200, body contains "hello"`},
		"body to the end":  {Config{ExpectBody: "hello"}, answer("HTTP/1.1 200 OK\r\n\r\nhello"), true, `status 200, body contains "hello"`},
		"body cut short":   {Config{ExpectBody: "bye"}, answer("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), false, "body: the backend closed the connection"},
		"last byte of 64K": {Config{ExpectBody: "xyz"}, answer("HTTP/1.1 200 OK\r\n\r\n" + big[3:] + "xyz"), true, `status 200, body contains "xyz"`},
		"beyond 64K":       {Config{ExpectBody: "xyz"}, answer("HTTP/1.1 200 OK\r\n\r\n" + big[2:] + "xyz"), false, `status 200, body does not contain "xyz"`},
		"endless body":     {Config{ExpectBody: "xyz"}, drip("HTTP/1.1 200 OK\r\n\r\n", big, 0), false, `status 200, body does not contain "xyz"`},
		"endless, found":   {Config{ExpectBody: "tick"}, drip("HTTP/1.1 200 OK\r\n\r\n", "tick\n", time.Millisecond), true, `status 200, body contains "tick"`},
		"endless, unread":  {Config{}, drip("HTTP/1.1 200 OK\r\n\r\n", big, 0), true, "status 200"},
		"body dripping":    {Config{ExpectBody: "xyz"}, drip("HTTP/1.1 200 OK\r\n\r\n", "x", 10*time.Millisecond), false, "timeout after 500ms (body)"},
		"tiny chunks": {Config{ExpectBody: "xyz"}, drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("e", 4000)+"\r\nx\r\n", 0),
			false, "body: chunked encoding contains too much non-data"},

		"mute":             {Config{}, silent, false, "timeout after 500ms (answer)"},
		"slowloris":        {Config{}, drip("HTTP/1.1 200 OK\r\nX-A: ", "a", 10*time.Millisecond), false, "timeout after 500ms (answer)"},
		"own timeout":      {Config{Timeout: 70 * time.Millisecond}, silent, false, "timeout after 70ms (answer)"},
		"huge header":      {Config{}, drip("HTTP/1.1 200 OK\r\nX-A: ", big, 0), false, "answer: header larger than 64 KiB"},
		"many headers":     {Config{}, drip("HTTP/1.1 200 OK\r\n", "X-A: a\r\n", 0), false, "answer: header larger than 64 KiB"},
		"closes":           {Config{}, func(c net.Conn) { readHeader(c) }, false, "answer: the backend closed the connection"},
		"closes at once":   {Config{}, accept, false, "answer: the backend closed the connection"},
		"not HTTP":         {Config{}, answer("220 mx1 ESMTP\x1b[31m\r\n"), false, `answer: malformed HTTP status code "mx1"`},
		"speaks TLS":       {Config{}, answer("\x15\x03\x01\x00\x02\x02\x0a\r\n"), false, "answer: the backend speaks TLS: set tls"},
		"answers at once":  {Config{}, func(c net.Conn) { go readHeader(c); _, _ = c.Write([]byte(ok)) }, true, "status 200"},
		"does not read it": {Config{}, func(net.Conn) { time.Sleep(time.Hour) }, false, "timeout after 500ms (answer)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := probeOnce(t, c.cfg, c.do)
			if r.ok != c.ok || r.reason != c.reason || r.local || r.late {
				t.Errorf("got %+v, want ok %v, %q", r, c.ok, c.reason)
			}
		})
	}
}

func TestTheRequestIsPlain(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "GET / HTTP/1.1\r\nHost: 10.0.1.21:80\r\nUser-Agent: tandem-health\r\nConnection: close\r\nAccept: */*\r\n\r\n"},
		{Config{Method: "HEAD", Path: "/a%2Fb?c=d", Host: "www.example"}, "HEAD /a%2Fb?c=d HTTP/1.1\r\nHost: www.example\r\nUser-Agent: tandem-health\r\nConnection: close\r\nAccept: */*\r\n\r\n"},
	} {
		var got string
		probeOnce(t, c.cfg, func(conn net.Conn) {
			got = readHeader(conn)
			_, _ = conn.Write([]byte(ok))
		})
		if got != c.want {
			t.Errorf("%+v asked\n%q, want\n%q", c.cfg, got, c.want)
		}
	}
}

func TestADecentBackendIsNotCutShort(t *testing.T) {
	var err error
	probeOnce(t, Config{}, func(c net.Conn) {
		answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")(c)
		time.Sleep(drainTime / 2)
		_, err = c.Write([]byte("hello"))
	})
	if err != nil {
		t.Errorf("the rest of the answer: %v, want it to be read", err)
	}
}

func TestAnEndlessAnswerHoldsAProbeUpOnlyBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		f.serve(web1, drip("HTTP/1.1 200 OK\r\n\r\n", "x", time.Millisecond))
		p := newProber(Target{Address: web1, Config: Config{Type: HTTP}}, f.connect)
		started := time.Now()
		r := p.probe(t.Context())
		if d := time.Since(started); !r.ok || r.took != 0 || d > drainTime {
			t.Errorf("the probe took %v and says %+v, want up after 0s and an end within %v", d, r, drainTime)
		}
		f.wg.Wait()
	})
}

func TestTheProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	if r := probeOnce(t, Config{}, answer(ok)); !r.ok {
		t.Errorf("got %+v, want up", r)
	}
}

func TestAMuteHTTPBackendGoesDownAndNothingPilesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Type: HTTP, Interval: time.Second, Timeout: 800 * time.Millisecond, FastInterval: 100 * time.Millisecond}
		w := start(t, func(f *fakeNet) { f.serve(web1, silent) }, target("web", "web1", web1.String(), cfg))
		after(3 * 800 * time.Millisecond) // three probes, back to back
		if st := w.Snapshot()[0]; st.State != Down || st.Reason != "timeout after 800ms (answer)" || st.Took != 800*time.Millisecond {
			t.Errorf("status %+v, want down by timeout", st)
		}
		for range 100 {
			after(time.Second)
			w.fakeNet.mu.Lock()
			if w.open > 1 {
				t.Errorf("%d probes at once", w.open)
			}
			w.fakeNet.mu.Unlock()
		}
		w.stop()
	})
}

// FuzzAnswer feeds a prober what a hostile backend may say.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(ok), "hello")
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), "x") // a chunk of all memory
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "")
	f.Add([]byte("HTTP/1.1 999999999999 \r\n\r\n"), "")
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x0a\r\n"), "") // a TLS alert
	f.Fuzz(func(t *testing.T, answer []byte, want string) {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			defer far.Close()
			if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
				_, _ = far.Write(answer)
			}
		}()
		h := &httpProbe{addr: web1, cfg: Config{Type: HTTP, ExpectBody: want}.WithDefaults()}
		r, _ := h.exchange(t.Context(), near)
		if len(r.reason) > 2*maxReason || strings.ContainsAny(r.reason, "\r\n\x1b") || r.reason == "" {
			t.Errorf("reason %q", r.reason)
		}
		if r.ok && want != "" && !strings.Contains(string(answer), want[:1]) {
			t.Errorf("found %q in %q", want, answer)
		}
	})
}

func TestReasonsAreBoundedAndPrintable(t *testing.T) {
	r := failed(fmt.Sprintf("a\x1b[2J\n\u202e\xff%s", strings.Repeat("é", 1000)))
	if len(r.reason) > maxReason+10 || strings.ContainsAny(r.reason, "\x1b\n\u202e") {
		t.Errorf("reason %q", r.reason)
	}
}

func TestARequestHasItsFurtherFields(t *testing.T) {
	got := make(chan string, 1)
	r := probeOnce(t, Config{Type: HTTP, Headers: []Header{{"x-forwarded-proto", "https"}, {"User-Agent", "nagios"}}}, func(c net.Conn) {
		got <- readHeader(c)
		_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	})
	head := <-got
	if !r.ok || !strings.Contains(head, "\r\nX-Forwarded-Proto: https\r\n") || strings.Count(head, "User-Agent") != 1 || !strings.Contains(head, "nagios") {
		t.Errorf("%+v\n%s", r, head)
	}
}
