package route

import (
	"net/netip"
	"strings"
	"testing"
)

// header is Fields of a test.
type header map[string][]string

func (h header) Any(name string, accept func(string) bool) bool {
	for _, v := range h[name] {
		if accept(v) {
			return true
		}
	}
	return false
}

func networks(s ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, p := range s {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	return ps
}

// find returns the name of the route of a request, "-" if none is for it, or the status with which it is refused.
func find(t *testing.T, table *Table, r *Request) string {
	t.Helper()
	if r.Method == "" {
		r.Method = "GET"
	}
	if r.Target == "" {
		r.Target = "/"
	}
	switch route, refused := table.Find(r); {
	case refused == ErrDenied:
		return "denied by " + route.Name
	case refused != nil:
		return refused.Reason
	case route == nil:
		return "-"
	default:
		return route.Name
	}
}

func mustCompile(t testing.TB, cfgs ...Config) *Table {
	t.Helper()
	table, err := Compile(cfgs, false)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestFirstRouteWhoseConditionsHold(t *testing.T) {
	table := mustCompile(t,
		Config{Name: "host", Hosts: []string{"api.example.org", "*.wild.example", "[2001:db8:0::1]", "192.0.2.1"}},
		Config{Name: "exact", Paths: []string{"/status", "/a%20b", "/.well-known/x"}},
		Config{Name: "prefix", Prefixes: []string{"/api", "/dir/"}},
		Config{Name: "regexp", Regexps: []string{`^/users/[0-9]+$`, `(?i)^/old`}},
		Config{Name: "method", Methods: []string{"POST", "PUT"}},
		Config{Name: "header", Headers: []HeaderMatch{{Name: "X-Canary", Value: "1"}, {Name: "X-Any"}}},
		Config{Name: "agent", Headers: []HeaderMatch{{Name: "User-Agent", Regexp: `^curl/`}}},
		Config{Name: "scheme", Scheme: "https"},
		Config{Name: "office", Clients: networks("10.0.0.0/8", "2001:db8::/32")},
	)
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Host: "api.example.org"}, "host"},
		{Request{Host: "API.Example.ORG:8080"}, "host"},
		{Request{Host: "api.example.org."}, "host"},
		{Request{Host: "api.example.org.:80"}, "host"},
		{Request{Host: "api.example.org:"}, "host"},
		{Request{Host: "x.api.example.org"}, "-"},
		{Request{Host: "a.wild.example"}, "host"},
		{Request{Host: "a.b.WILD.example."}, "host"},
		{Request{Host: "wild.example"}, "-"},
		{Request{Host: "notwild.example"}, "-"},
		{Request{Host: ".wild.example"}, "host is not a name or an address"},
		{Request{Host: "a..wild.example"}, "host is not a name or an address"},
		{Request{Host: "a.wild.example.."}, "host is not a name or an address"},
		{Request{Host: "a%2ewild.example"}, "host is not a name or an address"},
		{Request{Host: "a.wild.example:80:80"}, "host is not a name or an address"},
		{Request{Host: "a.wild.example@evil.example"}, "host is not a name or an address"},
		{Request{Host: "[2001:DB8::1]:80"}, "host"},
		{Request{Host: "[2001:db8::1]x"}, "host is not a name or an address"},
		{Request{Host: "[fe80::1%eth0]"}, "host is not a name or an address"},
		{Request{Host: "192.0.2.1:80"}, "host"},
		{Request{Host: ""}, "-"},
		{Request{Target: "/status?x"}, "exact"},
		{Request{Target: "/%73tatus"}, "exact"},
		{Request{Target: "/a%20b"}, "exact"},
		{Request{Target: "/.well-known/x"}, "exact"},
		{Request{Target: "/status/"}, "-"},
		{Request{Target: "/Status"}, "-"},
		{Request{Target: "/api"}, "prefix"},
		{Request{Target: "/api?x"}, "prefix"},
		{Request{Target: "/api/x"}, "prefix"},
		{Request{Target: "/%61pi;v=1/x"}, "prefix"},
		{Request{Target: "/apix"}, "-"},
		{Request{Target: "/dir/x"}, "prefix"},
		{Request{Target: "/dir"}, "-"},
		{Request{Target: "/users/12?q"}, "regexp"},
		{Request{Target: "/users/x"}, "-"},
		{Request{Target: "/OLD/x"}, "regexp"},
		{Request{Target: "/x?/users/12"}, "-"},
		{Request{Method: "PUT"}, "method"},
		{Request{Method: "put"}, "-"},
		{Request{Fields: header{"x-canary": {"0", "1"}, "x-any": {""}}}, "header"},
		{Request{Fields: header{"x-canary": {"1"}}}, "-"},
		{Request{Fields: header{"user-agent": {"curl/8"}}}, "agent"},
		{Request{Scheme: "https"}, "scheme"},
		{Request{Client: netip.MustParseAddr("10.9.9.9")}, "office"},
		{Request{Client: netip.MustParseAddr("2001:db8::9")}, "office"},
		{Request{Client: netip.MustParseAddr("192.0.2.9")}, "-"},
		{Request{Method: "OPTIONS", Target: "*"}, "-"},
		{Request{Method: "OPTIONS", Target: "*", Host: "api.example.org"}, "host"},
	} {
		if got := find(t, table, &c.r); got != c.want {
			t.Errorf("%s %q host %q fields %v client %v: %s, want %s", c.r.Method, c.r.Target, c.r.Host, c.r.Fields, c.r.Client, got, c.want)
		}
	}
}

func TestEveryKindOfConditionMustHold(t *testing.T) {
	table := mustCompile(t, Config{Name: "all", Hosts: []string{"a"}, Prefixes: []string{"/p"}, Methods: []string{"GET"},
		Headers: []HeaderMatch{{Name: "X"}}, Scheme: "http", Clients: networks("10.0.0.0/8")})
	good := Request{Host: "a", Target: "/p", Method: "GET", Fields: header{"x": {""}}, Scheme: "http", Client: netip.MustParseAddr("10.0.0.1")}
	if got := find(t, table, &good); got != "all" {
		t.Fatalf("%+v: %s", good, got)
	}
	for name, change := range map[string]func(*Request){
		"host": func(r *Request) { r.Host = "b" }, "path": func(r *Request) { r.Target = "/q" }, "method": func(r *Request) { r.Method = "POST" },
		"header": func(r *Request) { r.Fields = nil }, "scheme": func(r *Request) { r.Scheme = "https" },
		"client": func(r *Request) { r.Client = netip.MustParseAddr("11.0.0.1") },
	} {
		r := good
		change(&r)
		if got := find(t, table, &r); got != "-" {
			t.Errorf("another %s: %s, want none", name, got)
		}
	}
}

func TestAccessByNetwork(t *testing.T) {
	table := mustCompile(t,
		Config{Name: "allow", Prefixes: []string{"/in"}, Allow: networks("10.0.0.0/8")},
		Config{Name: "deny", Prefixes: []string{"/out"}, Deny: networks("10.6.6.0/24")},
		Config{Name: "both", Prefixes: []string{"/both"}, Allow: networks("10.0.0.0/8"), Deny: networks("10.6.6.0/24")},
	)
	for _, c := range []struct{ path, client, want string }{
		{"/in", "10.1.1.1", "allow"}, {"/in", "192.0.2.1", "denied by allow"}, {"/in", "2001:db8::1", "denied by allow"},
		{"/out", "10.1.1.1", "deny"}, {"/out", "10.6.6.6", "denied by deny"},
		{"/both", "10.1.1.1", "both"}, {"/both", "10.6.6.6", "denied by both"}, {"/both", "192.0.2.1", "denied by both"},
	} {
		r := Request{Target: c.path, Client: netip.MustParseAddr(c.client)}
		if got := find(t, table, &r); got != c.want {
			t.Errorf("%s from %s: %s, want %s", c.path, c.client, got, c.want)
		}
	}
}

func TestTargetsAndLocations(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		r    Request
		want string // the target, or the location
	}{
		{"untouched", Config{}, Request{Target: "/%61?b=%2f"}, "/%61?b=%2f"},
		{"whole path", Config{Rewrite: Rewrite{Path: "/new"}}, Request{Target: "/x?q=1"}, "/new?q=1"},
		{"prefix", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/v2"}}, Request{Target: "/api/x%20y?q"}, "/v2/x%20y?q"},
		{"prefix alone", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/"}}, Request{Target: "/api?q"}, "/?q"},
		{"prefix taken off", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/"}}, Request{Target: "/api/x"}, "/x"},
		{"prefix with slash", Config{Prefixes: []string{"/api/"}, Rewrite: Rewrite{Prefix: "/v2"}}, Request{Target: "/api/x"}, "/v2/x"},
		{"prefix put before", Config{Prefixes: []string{"/"}, Rewrite: Rewrite{Prefix: "/app"}}, Request{Target: "/x"}, "/app/x"},
		{"encoded prefix", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/v2"}}, Request{Target: "/%61p%69/%78"}, "/v2/%78"},
		{"prefix with parameter", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/v2"}}, Request{Target: "/api;v=1/x"}, "/v2/x"},
		{"parameter at the root", Config{Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/"}}, Request{Target: "/api;v=1/x"}, "/x"},
		{"longest prefix", Config{Prefixes: []string{"/a", "/a/b"}, Rewrite: Rewrite{Prefix: "/v"}}, Request{Target: "/a/b/c"}, "/v/c"},
		{"groups", Config{Regexps: []string{`^/u/(\d+)/(.*)$`}, Rewrite: Rewrite{Path: "/users/$1/of/$2"}}, Request{Target: "/u/12/a%20b%3Fc?q"}, "/users/12/of/a%20b%3Fc?q"},
		{"absent group", Config{Regexps: []string{`^/u(/x)?`}, Rewrite: Rewrite{Path: "/v$1$7$"}}, Request{Target: "/u"}, "/v$"},
		{"groups that make dots", Config{Regexps: []string{`^/u(\.\.)x`}, Rewrite: Rewrite{Path: "/$1/etc"}}, Request{Target: "/u..x"}, "! path has a dot segment"},
		{"asterisk", Config{Rewrite: Rewrite{Path: "/x"}}, Request{Method: "OPTIONS", Target: "*"}, "*"},

		{"to https", Config{Redirect: &Redirect{Scheme: "https"}}, Request{Host: "a.example:8080", Target: "/x?q"}, "https://a.example/x?q"},
		{"to https, IPv6", Config{Redirect: &Redirect{Scheme: "https"}}, Request{Host: "[2001:db8::1]:80", Target: "/"}, "https://[2001:db8::1]/"},
		{"to a host", Config{Redirect: &Redirect{Host: "www.example:8080"}}, Request{Host: "example", Target: "/x"}, "http://www.example:8080/x"},
		{"to a path", Config{Redirect: &Redirect{Path: "/new"}}, Request{Host: "a:8080", Target: "/x?q"}, "http://a:8080/new?q"},
		{"to a prefix", Config{Prefixes: []string{"/old"}, Redirect: &Redirect{Prefix: "/new"}}, Request{Host: "a", Target: "/old/x"}, "http://a/new/x"},
		{"to groups", Config{Regexps: []string{"^/(.)$"}, Redirect: &Redirect{Path: "/l/$1"}}, Request{Host: "a", Target: "/%3F"}, "http://a/l/%3F"},
		{"without host", Config{Redirect: &Redirect{Scheme: "https"}}, Request{Target: "/"}, "! request names no host to redirect to"},
		{"asterisk elsewhere", Config{Redirect: &Redirect{Scheme: "https"}}, Request{Host: "a", Method: "OPTIONS", Target: "*"}, "https://a/"},
	} {
		c.cfg.Name = c.name
		table := mustCompile(t, c.cfg)
		if c.r.Scheme = "http"; c.r.Method == "" {
			c.r.Method = "GET"
		}
		route, refused := table.Find(&c.r)
		if route == nil || refused != nil {
			t.Errorf("%s: %v, %v", c.name, route, refused)
			continue
		}
		b, refused := route.AppendTarget([]byte("x"), &c.r)
		if c.cfg.Redirect != nil {
			b, refused = route.AppendLocation([]byte("x"), &c.r)
		}
		got := strings.TrimPrefix(string(b), "x")
		if refused != nil {
			got = "! " + refused.Reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestARouteThatIsPassedOverLeavesNothing(t *testing.T) {
	table := mustCompile(t,
		Config{Name: "long", Hosts: []string{"other"}, Prefixes: []string{"/a/b"}},
		Config{Name: "groups", Hosts: []string{"other"}, Regexps: []string{"^/a(/b)"}, Rewrite: Rewrite{Path: "/x$1"}},
		Config{Name: "short", Prefixes: []string{"/a"}, Rewrite: Rewrite{Prefix: "/v"}})
	r := &Request{Method: "GET", Host: "this", Target: "/a/b/c"}
	route, refused := table.Find(r)
	if refused != nil || route.Name != "short" {
		t.Fatal(route, refused)
	}
	if got, _ := route.AppendTarget(nil, r); string(got) != "/v/b/c" {
		t.Errorf("target %q, want /v/b/c", got)
	}
}

func TestRedirectToTheSameSchemeIsPassedOver(t *testing.T) {
	table := mustCompile(t, Config{Name: "tls", Redirect: &Redirect{Scheme: "https"}}, Config{Name: "www", Redirect: &Redirect{Scheme: "https", Host: "www"}})
	for scheme, want := range map[string]string{"http": "tls", "https": "www"} {
		if got := find(t, table, &Request{Host: "a", Scheme: scheme}); got != want {
			t.Errorf("%s: %s, want %s", scheme, got, want)
		}
	}
	if rs := table.Routes(); rs[0].Last() || !rs[1].Last() || rs[0].Redirect.Status != 308 {
		t.Errorf("last: %v, %v; status %d", rs[0].Last(), rs[1].Last(), rs[0].Redirect.Status)
	}
}

func TestWrongRoutesAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"host with port":      {Hosts: []string{"a:80"}},
		"wildcard within":     {Hosts: []string{"a.*.example"}},
		"empty host":          {Hosts: []string{""}},
		"wildcard alone":      {Hosts: []string{"*."}},
		"relative path":       {Paths: []string{"a"}},
		"path with query":     {Paths: []string{"/a?b"}},
		"path with parameter": {Prefixes: []string{"/a;b"}},
		"path with dots":      {Prefixes: []string{"/a/../b"}},
		"expression":          {Regexps: []string{"("}},
		"header expression":   {Headers: []HeaderMatch{{Name: "a", Regexp: "("}}},
		"two actions":         {Pool: "a", Respond: &Respond{Status: 200}},
		"redirect to itself":  {Redirect: &Redirect{Status: 301}},
		"redirect by 200":     {Redirect: &Redirect{Status: 200, Scheme: "https"}},
		"redirect to ftp":     {Redirect: &Redirect{Scheme: "ftp"}},
		"redirect to nowhere": {Redirect: &Redirect{Host: "a b"}},
		"answer 100":          {Respond: &Respond{Status: 100}},
		"prefix for nothing":  {Rewrite: Rewrite{Prefix: "/a"}},
		"prefix beside path":  {Prefixes: []string{"/a"}, Paths: []string{"/b"}, Rewrite: Rewrite{Prefix: "/c"}},
		"path and prefix":     {Prefixes: []string{"/a"}, Rewrite: Rewrite{Prefix: "/c", Path: "/d"}},
		"group of nothing":    {Rewrite: Rewrite{Path: "/$1"}},
		"new path with query": {Rewrite: Rewrite{Path: "/a?b"}},
		"new path with dots":  {Rewrite: Rewrite{Path: "/../b"}},
		"split field":         {Request: Edit{Set: []Field{{"X", "a\r\nHost: b"}}}},
		"field name":          {Response: Edit{Add: []Field{{"X Y", "a"}}}},
		"length":              {Response: Edit{Set: []Field{{"Content-Length", "1"}}}},
		"client's address":    {Request: Edit{Set: []Field{{"X-Forwarded-For", "1"}}}},
	} {
		c.Name = "x"
		if _, err := Compile([]Config{c}, false); err == nil || !strings.Contains(err.Error(), "route x: ") {
			t.Errorf("%s: %v, want an error that names the route", name, err)
		}
	}
}

func TestEditorDropsWhatIsSetOrRemoved(t *testing.T) {
	r := mustCompile(t, Config{Name: "x", Request: Edit{Set: []Field{{"X-Env", "prod"}}, Add: []Field{{"Via", "a"}}, Remove: []string{"Cookie"}}}).Routes()[0]
	e := r.RequestEdit()
	for name, want := range map[string]bool{"x-env": true, "X-ENV": true, "COOKIE": true, "Via": false, "X-Envy": false, "X-En": false} {
		if e.Drops([]byte(name)) != want {
			t.Errorf("drops %s: %v", name, !want)
		}
	}
	if got := string(e.Lines()); got != "X-Env: prod\r\nVia: a\r\n" || len(e.Adds()) != 2 {
		t.Errorf("appends %q", got)
	}
	if r.ResponseEdit() != nil || r.ResponseEdit().Drops([]byte("a")) || r.ResponseEdit().Lines() != nil {
		t.Error("an edit of nothing is an edit")
	}
}

func TestDecisionsDoNotAllocate(t *testing.T) {
	table := mustCompile(t,
		Config{Name: "re", Regexps: []string{`^/users/[0-9]+$`}, Hosts: []string{"*.example.org"}},
		Config{Name: "b", Prefixes: []string{"/static"}, Hosts: []string{"a.example.org"}, Headers: []HeaderMatch{{Name: "x", Value: "1"}}},
		Config{Name: "c", Prefixes: []string{"/api"}, Rewrite: Rewrite{Prefix: "/v2"}})
	r := &Request{Method: "GET", Host: "A.Example.org:80", Target: "/%61pi/x?y", Fields: header{}}
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		route, _ := table.Find(r)
		if route == nil || route.Name != "c" {
			t.Fatal("not found")
		}
		buf, _ = route.AppendTarget(buf[:0], r)
	}); n > 1 { // the reader of an encoded prefix
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHundredRoutes(b *testing.B) {
	var cfgs []Config
	for i := range 100 {
		cfgs = append(cfgs, Config{Name: "x", Hosts: []string{"www.example.org"}, Prefixes: []string{"/service" + strings.Repeat("x", i)}})
	}
	table := mustCompile(b, cfgs...)
	r := &Request{Method: "GET", Host: "www.example.org", Target: "/service" + strings.Repeat("x", 99) + "/x?y"}
	for b.Loop() {
		if route, _ := table.Find(r); route == nil {
			b.Fatal("not found")
		}
	}
}
