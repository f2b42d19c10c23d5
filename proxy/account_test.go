package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// told is a line of the access log.
type told struct {
	Client, Listener, Route, Pool, Backend, Protocol, Method, Target, Host, ID, Traceparent, End, Reason string
	Status, Sent, Received, Retries, Sample                                                              int
	Receive                                                                                              *float64 `json:"receive_ms"`
	Queue                                                                                                *float64 `json:"queue_ms"`
	Connect                                                                                              *float64 `json:"connect_ms"`
	FirstByte                                                                                            *float64 `json:"first_byte_ms"`
	Total                                                                                                float64  `json:"total_ms"`
}

func (l told) String() string {
	return fmt.Sprintf("%s %s %s/%s %s %s %d sent=%d received=%d retries=%d %s %q", l.Listener, l.Route, l.Pool, l.Backend, l.Method, l.Target, l.Status, l.Sent, l.Received,
		l.Retries, l.End, l.Reason)
}

func readLog(t *testing.T, file string) []told {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []told
	for line := range bytes.Lines(b) {
		var l told
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// logged runs traffic against a proxy with an access log, and returns what that tells.
func logged(t *testing.T, cfg ListenerConfig, pools []pool.Config, traffic func(*lab)) []told {
	t.Helper()
	file := filepath.Join(t.TempDir(), "access.log")
	t.Run("traffic", func(t *testing.T) {
		traffic(newLabOf(t, Config{Listeners: []ListenerConfig{cfg}, AccessLog: accesslog.Config{File: file, Format: accesslog.JSON}}, pools...))
	})
	return readLog(t, file)
}

func one(name string, addrs ...netip.AddrPort) pool.Config {
	p := pool.Config{Name: name}
	for i, a := range addrs {
		p.Backends = append(p.Backends, pool.BackendConfig{Name: fmt.Sprint(name, i+1), Address: a})
	}
	return p
}

func TestAccessLogTellsHowEachRequestEnded(t *testing.T) {
	broken, _ := script(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nab")
	garbage, _ := script(t, "SSH-2.0-x\r\n\r\n")
	refused := freeAddr(t)
	cfg := ListenerConfig{Protocol: HTTP, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxBody: 10, Routes: []route.Config{
		{Name: "old", Prefixes: []string{"/old"}, Redirect: &route.Redirect{Path: "/new"}},
		{Name: "secret", Prefixes: []string{"/secret"}, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}},
		{Name: "broken", Prefixes: []string{"/broken"}, Pool: "broken"},
		{Name: "garbage", Prefixes: []string{"/garbage"}, Pool: "garbage"},
		{Name: "refused", Prefixes: []string{"/refused"}, Pool: "refused"},
		{Name: "none", Prefixes: []string{"/none"}, Pool: "none"},
	}}
	pools := []pool.Config{echo(t, "web"), one("broken", broken), one("garbage", garbage), one("refused", refused), one("none")}
	raws := []string{
		get("/x?y=\x7f", "a"), // refused by the parser
		get("/x?y=%20", "Example.org:80", "X-Forwarded-For: 198.51.100.7\r\n", "Traceparent: 00-aa-bb-01\r\n"),
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
		get("/old", "a"), get("/secret", "a"), get("/a/../b", "a"),
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nConnection: close\r\n\r\nabc",
		get("/garbage", "a"), get("/refused", "a"), get("/none", "a"),
	}
	var sent []int
	lines := logged(t, cfg, pools, func(l *lab) {
		for _, raw := range raws {
			sent = append(sent, len(l.talk(raw)))
		}
		c := l.dial() // broken off within the answer: the client sees a body that is too short
		io.WriteString(c, get("/broken", "a"))
		b, _ := io.ReadAll(c)
		sent = append(sent, len(b))
	})
	want := []string{
		`front  /  ` + ` 400 received=0 retries=0 PR`, `front  web/web1 GET /x?y=%20 200 received=0 retries=0 --`, `front  web/web1 POST /p 200 received=3 retries=0 --`,
		`front  web/web1 POST /p 200 received=4 retries=0 --`, `front old / GET /old 308 received=0 retries=0 LR`,
		`front secret web/ GET /secret 403 received=0 retries=0 PR`, `front  web/ GET /a/../b 400 received=0 retries=0 PR`,
		`front  web/ POST /p 413 received=0 retries=0 PR`, `front garbage garbage/garbage1 GET /garbage 502 received=0 retries=0 SH`,
		`front refused refused/refused1 GET /refused 503 received=0 retries=0 SC`, `front none none/ GET /none 503 received=0 retries=0 SC`,
		`front broken broken/broken1 GET /broken 200 received=0 retries=0 SD`,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(lines), len(want), lines)
	}
	for i, l := range lines {
		got := fmt.Sprintf("%s %s %s/%s %s %s %d received=%d retries=%d %s", l.Listener, l.Route, l.Pool, l.Backend, l.Method, l.Target, l.Status, l.Received, l.Retries, l.End)
		if got != want[i] || l.Sent != sent[i] || (l.End == "--" || l.End == "LR") != (l.Reason == "") {
			t.Errorf("line %d: %s %q, want %s and sent=%d", i, got, l.Reason, want[i], sent[i])
		}
	}
	if l := lines[1]; l.Client != "198.51.100.7" || l.Host != "Example.org:80" || l.Traceparent != "00-aa-bb-01" || l.Queue == nil || l.Connect == nil || l.FirstByte == nil || l.Protocol != "HTTP/1.1" {
		t.Errorf("the second line is %+v", l)
	}
	if l := lines[4]; l.Queue != nil || l.Connect != nil || l.FirstByte != nil || l.Receive == nil {
		t.Errorf("a redirect has times of a backend: %+v", l)
	}
}

func TestAccessLogTellsOfRetries(t *testing.T) {
	lines := logged(t, ListenerConfig{Protocol: HTTP}, []pool.Config{one("web", freeAddr(t), web(t, func(http.ResponseWriter, *http.Request) {}))}, func(l *lab) {
		l.talk(get("/", "a"))
	})
	if len(lines) != 1 || lines[0].Retries != 1 || lines[0].Backend != "web2" || lines[0].End != "--" || lines[0].Status != 200 {
		t.Errorf("%v, want one retry and the second backend", lines)
	}
}

func TestAccessLogTellsOfSessions(t *testing.T) {
	upper := tcpBackend(t, func(c *net.TCPConn) { b, _ := io.ReadAll(c); c.Write(bytes.ToUpper(b)) })
	lines := logged(t, ListenerConfig{Protocol: TCP}, []pool.Config{one("sql", upper)}, func(l *lab) {
		c := l.dial()
		io.WriteString(c, "hello")
		c.CloseWrite()
		io.ReadAll(c)
	})
	if len(lines) != 1 || lines[0].Protocol != "" || lines[0].Sent != 5 || lines[0].Received != 5 || lines[0].End != "--" || lines[0].Backend != "sql1" || lines[0].Reason != "client closed" {
		t.Errorf("%+v", lines)
	}
	lines = logged(t, ListenerConfig{Protocol: TCP}, []pool.Config{one("sql", freeAddr(t))}, func(l *lab) {
		if c, err := net.Dial("tcp", l.addr); err == nil { // else it was reset within Dial
			io.ReadAll(c)
			c.Close()
		}
	})
	if len(lines) != 1 || lines[0].End != "SC" || lines[0].Backend != "" || !strings.Contains(lines[0].Reason, "connect") {
		t.Errorf("%+v", lines)
	}
}

func TestAListenerCanStayOutOfTheAccessLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	t.Run("traffic", func(t *testing.T) {
		l := newLabOf(t, Config{Listeners: []ListenerConfig{{Protocol: HTTP, NoAccessLog: true}}, AccessLog: accesslog.Config{File: file}}, echo(t, "web"))
		l.talk(get("/", "a"))
	})
	if b, err := os.ReadFile(file); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

// TestAccessLogTellsHowLongThingsTook is in fake time, so what it wants is exact.
func TestAccessLogTellsHowLongThingsTook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	inBubble(t, ListenerConfig{Protocol: HTTP}, func(c *duplex) {
		buf := make([]byte, 1000)
		c.Read(buf)
		time.Sleep(300 * time.Millisecond)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		time.Sleep(700 * time.Millisecond)
		io.WriteString(c, "k")
		io.Copy(io.Discard, c)
	}, func(b *bubble) {
		b.proxy.access.Store(accesslog.New(accesslog.Config{File: file, Format: accesslog.JSON}, b.proxy.log))
		for _, u := range *b.proxy.upstreams.Load() {
			connect := u.dialTo
			u.dialTo = func(ctx context.Context, addr netip.AddrPort, limit time.Duration) (net.Conn, error) {
				time.Sleep(200 * time.Millisecond)
				return connect(ctx, addr, limit)
			}
		}
		c := b.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\n")
		time.Sleep(50 * time.Millisecond)
		io.WriteString(c, "Host: a\r\nConnection: close\r\n\r\n")
		readAll(c)
		c.Close()
		c = b.dial()
		io.WriteString(c, "GET /slow HTTP/1.1\r\n")
		readAll(c)
		c.Close()
		b.listener.sessions.wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.proxy.access.Load().Run(ctx)
	})
	lines := readLog(t, file)
	if len(lines) != 2 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	byEnd := make(map[string]told)
	for _, l := range lines {
		byEnd[l.End] = l
	}
	if l := byEnd["--"]; l.Receive == nil || *l.Receive != 50 || *l.Queue != 0 || *l.Connect != 200 || *l.FirstByte != 300 || l.Total != 1250 {
		t.Errorf("took receive=%v queue=%v connect=%v first=%v total=%v, want 50, 0, 200, 300, 1250", l.Receive, l.Queue, l.Connect, l.FirstByte, l.Total)
	}
	if l := byEnd["cR"]; l.Status != 408 || l.Method != "" {
		t.Errorf("a slow header: %+v", l)
	}
}

func TestEndsInHAProxysLetters(t *testing.T) {
	conn := &backendConn{}
	for _, c := range []struct {
		status      int
		reason      string
		conn        *backendConn
		begun, over bool
		want        string
	}{
		{200, "", conn, true, false, "--"}, {200, "", conn, true, true, "--"}, {101, "", conn, true, false, "--"}, {101, "client closed", conn, true, false, "--"},
		{308, "", nil, false, false, "LR"}, {0, "client closed within a header", nil, false, false, "CR"},
		{statusGone, errClientGone.Error(), conn, false, false, "CH"}, {statusGone, errClientGone.Error(), conn, true, false, "CD"},
		{statusGone, pool.ErrGone.Error(), nil, false, false, "CQ"}, {408, "body did not come in time", nil, false, false, "cD"},
		{200, errSilent.Error(), conn, true, false, "sD"}, {200, errBroken.Error(), conn, true, false, "SD"}, {200, errWentDown.Error(), conn, true, false, "DD"},
		{200, errBroken.Error(), conn, true, true, "KD"}, {502, "backend closed the connection", nil, false, false, "SH"},
		{503, pool.ErrQueue.Error(), nil, false, false, "SQ"}, {503, pool.ErrWaited.Error(), nil, false, false, "sQ"}, {503, pool.ErrNone.Error(), nil, false, false, "SC"},
		{504, "backend did not answer in time", nil, false, false, "sH"}, {413, "body is larger", nil, false, false, "PR"},
		{101, "idle", conn, true, false, "cD"}, {101, "client broke off", conn, true, false, "CD"}, {101, "backend broke off", conn, true, false, "SD"},
		{101, errWentDown.Error(), conn, true, false, "DD"}, {101, cutReason, conn, true, false, "KD"},
	} {
		w := &work{began: time.Unix(1, 0), begun: c.begun}
		if got := endOf(w, c.status, c.reason, c.conn, c.over); got != c.want {
			t.Errorf("%d %q, begun %v, cut %v: %s, want %s", c.status, c.reason, c.begun, c.over, got, c.want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, RequestID: "X-Request-ID"}
	seen := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "ids=%q", r.Header["X-Request-Id"]) }
	fresh := regexp.MustCompile(`ids=\["[0-9a-f]{32}"\]$`)
	for _, c := range []struct {
		name    string
		trusted bool
		fields  []string
		want    string // empty: a new one
	}{
		{"none", false, nil, ""},
		{"a client's own", false, []string{"X-Request-ID: mine\r\n"}, ""},
		{"a proxy's", true, []string{"x-request-id: a.b-c_1\r\n"}, "a.b-c_1"},
		{"a proxy without", true, nil, ""},
		{"two", true, []string{"X-Request-ID: first\r\n", "X-Request-ID: second\r\n"}, "first"},
		{"blanks", true, []string{"X-Request-ID: a b\r\n"}, ""},
		{"quotes", true, []string{"X-Request-ID: \"a\"\r\n"}, ""},
		{"too long", true, []string{"X-Request-ID: " + strings.Repeat("a", 129) + "\r\n"}, ""},
	} {
		cfg.TrustedProxies = nil
		if c.trusted {
			cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		var got string
		lines := logged(t, cfg, []pool.Config{one("web", web(t, seen))}, func(l *lab) { got = l.talk(get("/", "a", c.fields...)) })
		if c.want == "" && !fresh.MatchString(got) || c.want != "" && !strings.HasSuffix(got, fmt.Sprintf("ids=[%q]", c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if len(lines) != 1 || lines[0].ID == "" || !strings.Contains(got, lines[0].ID) {
			t.Errorf("%s: the log has %v for %q", c.name, lines, got)
		}
	}
}
