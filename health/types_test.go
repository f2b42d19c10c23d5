package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/command"
)

// typed makes one probe, as its configuration says, of a backend that does h.
func typed(t *testing.T, cfg Config, h func(net.Conn)) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		f.serve(web1, h)
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		r = newProber(Target{Address: web1, Config: cfg}, f.connect).probe(t.Context())
		if f.open != 0 {
			t.Error("the connection was left open")
		}
		f.wg.Wait()
	})
	return r
}

func TestTCPAnswersAreExpected(t *testing.T) {
	greeting := func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP\r\n"); io.Copy(io.Discard, c) }
	redis := func(c net.Conn) {
		b := make([]byte, 6)
		if _, err := io.ReadFull(c, b); err == nil && string(b) == "PING\r\n" {
			io.WriteString(c, "+PO")
			time.Sleep(time.Millisecond)
			io.WriteString(c, "NG\r\n")
		}
	}
	for name, c := range map[string]struct {
		cfg    Config
		do     func(net.Conn)
		ok     bool
		reason string
	}{
		"a greeting":         {Config{Receive: "220 "}, greeting, true, `answer contains "220 "`},
		"another greeting":   {Config{Receive: "250 "}, greeting, false, "timeout after 500ms (answer)"},
		"an answer in parts": {Config{Send: "PING\r\n", Receive: "+PONG"}, redis, true, `answer contains "+PONG"`},
		"a wrong answer":     {Config{Send: "PING\r\n", Receive: "ok"}, redis, false, `answer "+PONG", want one that contains "ok"`},
		"no answer":          {Config{Receive: "220 "}, func(net.Conn) {}, false, "answer: the backend closed the connection"},
		"too long": {Config{Receive: "ok"}, func(c net.Conn) { c.Write(bytes.Repeat([]byte("x"), 2*maxExpect)) }, false,
			`answer "` + strings.Repeat("x", 64) + `…", want one that contains "ok"`},
		"sent only": {Config{Send: "hello"}, func(c net.Conn) { io.Copy(io.Discard, c) }, true, "connected"},
	} {
		r := typed(t, c.cfg, c.do)
		if name == "another greeting" {
			c.reason = `answer "220 mail.example ESMTP", want one that contains "250 "`
		}
		if r.ok != c.ok || r.reason != c.reason {
			t.Errorf("%s: got %v %q, want %v %q", name, r.ok, r.reason, c.ok, c.reason)
		}
	}
}

func TestTLSHandshakeIsEnough(t *testing.T) {
	server, ca := identity(t, "www.example")
	names := make(chan string, 1)
	cfg := Config{Type: TLS, TLSCAFile: ca, TLSServerName: "www.example"}
	if r := typed(t, cfg, overTLS(server, names)); !r.ok || r.reason != "tls handshake, TLS 1.3" || <-names != "www.example" {
		t.Errorf("got %+v", r)
	}
	cfg.TLSServerName = "other.example"
	if r := typed(t, cfg, overTLS(server, names)); r.ok || !strings.Contains(r.reason, "tls handshake: ") {
		t.Errorf("another name: got %+v", r)
	}
	if r := typed(t, Config{Type: TLS}, func(c net.Conn) {
		go io.Copy(io.Discard, c)
		io.WriteString(c, "220 mail\r\n")
	}); r.ok || !strings.Contains(r.reason, "does not speak TLS") {
		t.Errorf("no TLS: got %+v", r)
	}
}

func TestHTTPSIsHTTPByTLS(t *testing.T) {
	server, ca := identity(t, "www.example")
	cfg := Config{Type: HTTPS, TLSCAFile: ca, TLSServerName: "www.example"}
	if r := typed(t, cfg, overTLS(server, make(chan string, 1))); !r.ok || r.reason != "status 200" {
		t.Errorf("got %+v", r)
	}
}

// grpcServer answers every call with those trailers and that message.
func grpcServer(t *testing.T, secure bool, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(!secure)
	srv.Config.Protocols.SetHTTP2(secure)
	if secure {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return netip.MustParseAddrPort(srv.Listener.Addr().String())
}

func grpcSays(status string, message []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != grpcPath || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
			http.Error(w, "not gRPC", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if message != nil {
			w.Write(message)
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "because")
	}
}

// framed frames a message as gRPC does.
func framed(m ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

func TestGRPCHealthIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		ok     bool
		reason string
	}{
		"serving":          {grpcSays("0", framed(8, 1)), true, "health status SERVING"},
		"unknown fields":   {grpcSays("0", framed(0x12, 2, 'h', 'i', 8, 1, 0x18, 7)), true, "health status SERVING"},
		"not serving":      {grpcSays("0", framed(8, 2)), false, "health status NOT_SERVING, want SERVING"},
		"no field":         {grpcSays("0", framed()), false, "health status UNKNOWN, want SERVING"},
		"not implemented":  {grpcSays("12", nil), false, "grpc status 12: the backend does not implement grpc.health.v1.Health"},
		"unknown service":  {grpcSays("5", nil), false, `grpc status 5: the backend does not know the service "shop"`},
		"another status":   {grpcSays("14", nil), false, "grpc status 14: because"},
		"cut":              {grpcSays("0", []byte{0, 0}), false, "answer: shorter than a gRPC message"},
		"two messages":     {grpcSays("0", append(framed(8, 1), framed(8, 1)...)), false, "answer: not one whole gRPC message"},
		"compressed":       {grpcSays("0", []byte{1, 0, 0, 0, 0}), false, "answer: compressed, though nobody asked for that"},
		"a website":        {http.NotFound, false, "HTTP status 404, want 200: is this a gRPC server?"},
		"an endless flood": {grpcSays("0", make([]byte, 2*maxMessage)), false, "answer: answer larger than 4096 bytes"},
	} {
		for _, secure := range []bool{false, true} {
			addr := grpcServer(t, secure, c.h)
			r := realProbe(t, addr, Config{Type: GRPC, Service: "shop", TLS: secure, TLSInsecure: true, Interval: 10 * time.Second, Timeout: 10 * time.Second})
			if r.ok != c.ok || r.reason != c.reason {
				t.Errorf("%s, TLS %v: got %v %q, want %v %q", name, secure, r.ok, r.reason, c.ok, c.reason)
			}
		}
	}
}

func TestGRPCServiceIsNamed(t *testing.T) {
	var asked []byte
	addr := grpcServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		asked, _ = io.ReadAll(r.Body)
		grpcSays("0", framed(8, 1))(w, r)
	})
	if r := realProbe(t, addr, Config{Type: GRPC, Service: "a.B", Interval: 10 * time.Second, Timeout: 10 * time.Second}); !r.ok {
		t.Fatalf("%+v", r)
	}
	if want := framed(0x0a, 3, 'a', '.', 'B'); !bytes.Equal(asked, want) {
		t.Errorf("asked %x, want %x", asked, want)
	}
}

func TestGRPCOfHTTP1IsNoHealth(t *testing.T) {
	r := typed(t, Config{Type: GRPC}, func(c net.Conn) {
		go io.Copy(io.Discard, c)
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	if r.ok || !strings.HasPrefix(r.reason, "answer: ") {
		t.Errorf("got %+v", r)
	}
}

// FuzzGRPCAnswer: whatever a backend answers is bounded, and judged without a crash.
func FuzzGRPCAnswer(f *testing.F) {
	var good bytes.Buffer
	fr := http2.NewFramer(&good, nil)
	var fields bytes.Buffer
	e := hpack.NewEncoder(&fields)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	fr.WriteSettings()
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndHeaders: true})
	fr.WriteData(1, false, framed(8, 1))
	fields.Reset()
	e.WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"})
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndHeaders: true, EndStream: true})
	f.Add(good.Bytes())
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Add(framed(8, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		fr := http2.NewFramer(&out, bytes.NewReader(b))
		fr.SetMaxReadFrameSize(16 << 10)
		fr.ReadMetaHeaders, fr.MaxHeaderListSize = hpack.NewDecoder(4096, nil), 16<<10
		a, err := readGRPC(fr, func() error { return nil }, &out)
		if err == nil {
			(&grpcProbe{}).judge(a)
		}
		servingStatus(b)
		if len(a.body) > maxMessage+16<<10 {
			t.Errorf("kept %d bytes", len(a.body))
		}
	})
}

func TestProgramsJudge(t *testing.T) {
	exited := exec.Command("/bin/sh", "-c", "exit 3").Run()
	for name, c := range map[string]struct {
		out    string
		err    error
		want   result
		reason string
	}{
		"well":        {"all fine\nand more", nil, result{ok: true}, "status 0: all fine"},
		"silent":      {"", nil, result{ok: true}, "status 0"},
		"not well":    {"no replica\n", exited, result{}, "status 3: no replica"},
		"too slow":    {"", command.ErrTimeout, result{}, "timeout"},
		"not started": {"", errors.New("cannot be started: no such file"), result{local: true}, "/bin/judge: cannot be started: no such file"},
	} {
		p := newProber(Target{Pool: "db", Backend: "pg1", Address: web1, Config: Config{Type: Exec, Command: []string{"/bin/judge", "x"}, RunAs: "probe", Port: 99}}, nil)
		p.exec.run = func(_ context.Context, got command.Command) (string, error) {
			if got.User != "probe" || got.Timeout != defaultExecTimeout || !slices.Equal(got.Argv, []string{"/bin/judge", "x"}) ||
				!slices.Equal(got.Env, []string{"TANDEM_POOL=db", "TANDEM_BACKEND=pg1", "TANDEM_ADDRESS=10.0.1.21", "TANDEM_PORT=99"}) {
				t.Errorf("ran %+v", got)
			}
			return c.out, c.err
		}
		if r := p.probe(t.Context()); r.ok != c.want.ok || r.local != c.want.local || r.reason != c.reason {
			t.Errorf("%s: got %+v, want %+v %q", name, r, c.want, c.reason)
		}
	}
}

func TestARealProgramJudges(t *testing.T) {
	for _, c := range []struct {
		script string
		ok     bool
		reason string
	}{
		{`test "$TANDEM_PORT" = 80 && echo "$TANDEM_POOL/$TANDEM_BACKEND"`, true, "status 0: db/pg1"},
		{"exit 1", false, "status 1"},
	} {
		p := newProber(Target{Pool: "db", Backend: "pg1", Address: netip.MustParseAddrPort("192.0.2.1:80"), Config: Config{
			Type: Exec, Command: []string{"/bin/sh", "-c", c.script}, Interval: time.Minute, Timeout: 30 * time.Second,
		}}, nil)
		if r := p.probe(t.Context()); r.ok != c.ok || r.reason != c.reason {
			t.Errorf("%s: got %+v, want %v %q", c.script, r, c.ok, c.reason)
		}
	}
}
