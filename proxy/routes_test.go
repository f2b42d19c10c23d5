package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// echo answers with its name and what it was asked.
func echo(t *testing.T, name string) pool.Config {
	addr := web(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Server", "secret")
		w.Header().Set("X-Cache", "hit")
		fmt.Fprintf(w, "%s: %s %s host=%s env=%q cookie=%q agent=%q trace=%q xfh=%s body=%d,%v", name, r.Method, r.RequestURI, r.Host, r.Header["X-Env"],
			r.Header["Cookie"], r.Header["User-Agent"], r.Header["Traceparent"], r.Header.Get("X-Forwarded-Host"), len(body), err)
	})
	return pool.Config{Name: name, Backends: []pool.BackendConfig{{Name: name + "1", Address: addr}}}
}

func get(target, host string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(fields, "") + "Connection: close\r\n\r\n"
}

func TestRoutesLeadToPoolsAndAnswers(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Routes: []route.Config{
		{Name: "secure", Hosts: []string{"secure.example"}, Redirect: &route.Redirect{Scheme: "https"}},
		{Name: "www", Hosts: []string{"example"}, Redirect: &route.Redirect{Status: 301, Host: "www.example"}},
		{Name: "down", Prefixes: []string{"/down"}, Respond: &route.Respond{Status: 503, Body: []byte("<h1>back soon</h1>"), ContentType: "text/html"},
			Response: route.Edit{Set: []route.Field{{Name: "Retry-After", Value: "120"}}}},
		{Name: "empty", Prefixes: []string{"/empty"}, Respond: &route.Respond{Status: 204}},
		{Name: "admin", Prefixes: []string{"/admin"}, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Name: "api", Prefixes: []string{"/api"}, Pool: "api", Rewrite: route.Rewrite{Prefix: "/v2", Host: "api.internal"},
			Request: route.Edit{Set: []route.Field{{Name: "X-Env", Value: "prod"}}, Add: []route.Field{{Name: "User-Agent", Value: "tandem"}}, Remove: []string{"Cookie"}},
			Response: route.Edit{Set: []route.Field{{Name: "X-Cache", Value: "miss"}}, Remove: []string{"Server"},
				Add: []route.Field{{Name: "Strict-Transport-Security", Value: "max-age=1"}}}},
	}}
	l := newLabOn(t, cfg, echo(t, "web"), echo(t, "api"))
	for _, c := range []struct {
		name, raw string
		status    int
		want, not []string
	}{
		{"no route", get("/x", "other"), 200, []string{"web: GET /x host=other", "Server: secret"}, nil},
		{"traceparent is passed on", get("/x", "other", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"), 200,
			[]string{`trace=["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]`}, nil},
		{"to https", get("/x?y", "secure.example:80"), 308, []string{"Location: https://secure.example/x?y\r\n", "Content-Length: 0\r\n"}, nil},
		{"https already, says a trusted proxy", get("/x?y", "secure.example", "X-Forwarded-Proto: https\r\n"), 200, []string{"web: GET /x?y"}, nil},
		{"to another host", get("/x", "example"), 301, []string{"Location: http://www.example/x\r\n"}, nil},
		{"maintenance", get("/down/x", "other"), 503, []string{"Content-Type: text/html\r\n", "Retry-After: 120\r\n", "\r\n\r\n<h1>back soon</h1>"}, nil},
		{"maintenance for HEAD", "HEAD /down HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n", 503, []string{"Content-Length: 18\r\n"}, []string{"<h1>"}},
		{"an answer without body", get("/empty", "other"), 204, nil, []string{"Content-Length", "Content-Type"}},
		{"not allowed", get("/admin", "other"), 403, []string{"client is not allowed here"}, []string{"web:"}},
		{"not allowed, by a trick", get("/%61dmin;x/y", "other"), 403, nil, []string{"web:"}},
		{"allowed, says a trusted proxy", get("/admin", "other", "X-Forwarded-For: 192.0.2.7\r\n"), 200, []string{"web: GET /admin"}, nil},
		{"not allowed, says a trusted proxy", get("/admin", "other", "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n"), 403, nil, []string{"web:"}},
		{"a path of two readings", get("/x/../admin", "other"), 400, []string{"Connection: close\r\n"}, []string{"web:"}},
		{"an encoded slash", get("/x%2f..%2fadmin", "other"), 400, nil, []string{"web:"}},
		{"a host of two readings", get("/x", "a..example"), 400, nil, []string{"web:"}},
		{"changed on its way", get("/api/%78?q=1", "other", "X-Env: mine\r\nCookie: a=b\r\nUser-Agent: curl\r\n"), 200,
			[]string{`api: GET /v2/%78?q=1 host=api.internal env=["prod"] cookie=[] agent=["curl" "tandem"]`, "xfh=other", "X-Cache: miss\r\n",
				"Strict-Transport-Security: max-age=1\r\n"}, []string{"Server: secret", "X-Cache: hit"}},
		{"with a body", "POST /api/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200, []string{"api: POST /v2/b", "body=3,<nil>"}, nil},
		{"chunked", "POST /api/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, []string{"api: POST /v2/b", "body=3,<nil>"}, nil},
		{"HTTP/1.0 without a host", "GET /api/x HTTP/1.0\r\n\r\n", 200, []string{"api: GET /v2/x host=api.internal"}, nil},
	} {
		got := l.talk(c.raw)
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%s: %q, want %d", c.name, got, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q lacks %q", c.name, got, want)
			}
		}
		for _, not := range c.not {
			if strings.Contains(got, not) {
				t.Errorf("%s: %q has %q", c.name, got, not)
			}
		}
	}
}

func TestAnswersOfRoutesKeepTheConnection(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, Routes: []route.Config{
		{Name: "moved", Paths: []string{"/moved"}, Redirect: &route.Redirect{Path: "/"}},
		{Name: "gone", Paths: []string{"/gone"}, Respond: &route.Respond{Status: 410, Body: []byte("gone\n")}},
		{Name: "closed", Paths: []string{"/closed"}, Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
	}}
	l := newLabOn(t, cfg, echo(t, "web"))
	ask := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	got := l.talk(ask("/moved") + ask("/gone") + ask("/closed") + ask("/x") +
		"POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	var statuses []string
	for _, line := range strings.Split(got, "HTTP/1.1 ")[1:] {
		statuses = append(statuses, line[:3])
	}
	if s := strings.Join(statuses, " "); s != "308 410 403 200 410" || strings.Contains(got, "smuggled") || strings.Count(got, "Connection: close") != 1 {
		t.Errorf("statuses %s in %q; want 308 410 403 200, and 410 with the end of the connection", s, got)
	}
}

func TestAListenerOfRoutesNeedsNoPool(t *testing.T) {
	set := pool.NewSet([]pool.Config{{Name: "web"}})
	for name, c := range map[string]struct {
		cfg  ListenerConfig
		want string
	}{
		"a route for all":    {ListenerConfig{Routes: []route.Config{{Name: "tls", Redirect: &route.Redirect{Scheme: "https", Host: "x"}}}}, ""},
		"not for https":      {ListenerConfig{Routes: []route.Config{{Name: "tls", Redirect: &route.Redirect{Scheme: "https"}}}}, "there is no pool"},
		"a route for some":   {ListenerConfig{Routes: []route.Config{{Name: "a", Paths: []string{"/"}, Respond: &route.Respond{Status: 200}}}}, "there is no pool"},
		"no pool to go to":   {ListenerConfig{Routes: []route.Config{{Name: "a"}}}, "route a: neither it nor its listener has a pool"},
		"a pool that is not": {ListenerConfig{Pool: "web", Routes: []route.Config{{Name: "a", Pool: "nil"}}}, `route a: there is no pool "nil"`},
		"a wrong route":      {ListenerConfig{Pool: "web", Routes: []route.Config{{Name: "a", Hosts: []string{":"}}}}, "route a:"},
		"a pool for all":     {ListenerConfig{Routes: []route.Config{{Name: "a", Pool: "web"}}}, ""},
	} {
		cfg := c.cfg.withDefaults()
		_, _, err := newWays(&cfg, set)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestBodyLimits(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, MaxBody: 10, Routes: []route.Config{
		{Name: "more", Prefixes: []string{"/more"}, MaxBody: 100}, {Name: "any", Prefixes: []string{"/any"}, MaxBody: -1}}}
	l := newLabOn(t, cfg, echo(t, "web"))
	chunked := func(path string, chunks ...int) string {
		raw := "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		for _, n := range chunks {
			raw += fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n))
		}
		return raw + "0\r\n\r\n"
	}
	sized := func(path string, n int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", path, n, strings.Repeat("x", n))
	}
	for _, c := range []struct {
		name, raw string
		status    int
	}{
		{"as long as may be", sized("/", 10), 200}, {"longer", sized("/", 11), 413},
		{"chunks", chunked("/", 5, 5), 200}, {"more chunks", chunked("/", 5, 5, 1), 413}, {"a long chunk", chunked("/", 5000), 413},
		{"by route", sized("/more", 100), 200}, {"longer by route", sized("/more", 101), 413}, {"chunks by route", chunked("/more", 90, 11), 413},
		{"without limit", sized("/any", 100000), 200}, {"chunks without limit", chunked("/any", 100000), 200},
	} {
		if got := l.talk(c.raw); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%s: %.60q, want %d", c.name, got, c.status)
		}
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("the backend is blamed: %+v", b)
	}
}

// A body that came together with a header that is larger than a buffer was cut to the size of one.
func TestALargeHeaderDoesNotCutTheBody(t *testing.T) {
	l := newLabOn(t, ListenerConfig{Protocol: HTTP, MaxHeader: 1 << 20}, echo(t, "web"))
	const n = 300000
	got := l.talk(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\nX: %s\r\n\r\n%s", n, strings.Repeat("h", 20000), strings.Repeat("x", n)))
	if !strings.Contains(got, "body=300000,<nil>") {
		t.Errorf("got %.200q, want a body of %d", got, n)
	}
}

func TestTimeoutsOfRoutes(t *testing.T) {
	cfg := ListenerConfig{Protocol: HTTP, ResponseTimeout: 10 * time.Second, BodyTimeout: 10 * time.Second, Routes: []route.Config{
		{Name: "fast", Prefixes: []string{"/fast"}, ResponseTimeout: 2 * time.Second, BodyTimeout: 3 * time.Second},
		{Name: "slow", Prefixes: []string{"/slow"}, ResponseTimeout: -1},
	}}
	for path, want := range map[string]time.Duration{"/": 10 * time.Second, "/fast": 2 * time.Second, "/slow": time.Hour} {
		inBubble(t, cfg, func(c *duplex) {
			buf := make([]byte, 1000)
			c.Read(buf)
			time.Sleep(time.Hour)
			io.WriteString(c, okAnswer)
			io.Copy(io.Discard, c)
		}, func(b *bubble) {
			c, began := b.dial(), time.Now()
			io.WriteString(c, get(path, "a"))
			got := readAll(c)
			if ok := strings.HasPrefix(got, "HTTP/1.1 200 "); ok != (path == "/slow") || !ok && !strings.HasPrefix(got, "HTTP/1.1 504 ") {
				t.Errorf("%s: %q", path, got)
			}
			between(t, path, began, want, want+want/4+2*time.Second)
			c.Close()
		})
	}
	inBubble(t, cfg, nobody, func(b *bubble) {
		c, began := b.dial(), time.Now()
		io.WriteString(c, "POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("a silent body: %q", got)
		}
		between(t, "a silent body", began, 3*time.Second, 6*time.Second)
		c.Close()
		synctest.Wait()
	})
}

func TestRequestsWithoutRoutesAllocateNothing(t *testing.T) {
	l, err := New(Config{Listeners: []ListenerConfig{{Name: "a", Protocol: HTTP, Pool: "web", Bind: netip.MustParseAddrPort("127.0.0.1:1")}}},
		pool.NewSet([]pool.Config{{Name: "web"}}), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	near, _ := net.Pipe()
	c := newClient(l.listeners()[0], near, netip.MustParseAddrPort("192.0.2.1:1"))
	w := newWork()
	header := []byte("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: b\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		if err := w.req.Parse(header); err != nil {
			t.Fatal(err)
		}
		w.client = c.origin(&w.req)
		if done, _ := c.routed(w); done {
			t.Fatal("answered")
		}
		w.out = c.appendRequest(w.out[:0], w)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
