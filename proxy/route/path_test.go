package route

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
)

// TestPathTricks is what backends, proxies and people are known to read differently.
func TestPathTricks(t *testing.T) {
	for _, c := range []struct {
		path, strict, lenient string // as read; or the refusal
	}{
		{"/", "/", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a/", "/a/", "/a/"},
		{"/%61dmin", "/admin", "/admin"},
		{"/ADMIN", "/ADMIN", "/ADMIN"},
		{"/a%20b", "/a b", "/a b"},
		{"/a...b/...", "/a...b/...", "/a...b/..."},
		{"/caf%C3%A9", "/café", "/café"},
		{"/100%25", "/100%", "/100%"},
		{"/a%3Fb", "/a?b", "/a?b"},
		{"/a;v=1/b", "/a/b", "/a/b"},
		{"/admin;x", "/admin", "/admin"},
		{"/a;%20x/b", "/a/b", "/a/b"},
		{"/..", "!dot segment", "!dot segment"},
		{"/../a", "!dot segment", "!dot segment"},
		{"/a/..", "!dot segment", "!dot segment"},
		{"/a/./b", "!dot segment", "!dot segment"},
		{"/%2e%2e/a", "!dot segment", "!dot segment"},
		{"/.%2E/a", "!dot segment", "!dot segment"},
		{"/a/..;/b", "!dot segment", "!dot segment"},
		{"/a/..;x=1/b", "!dot segment", "!dot segment"},
		{"/a/.;", "!dot segment", "!dot segment"},
		{"/a/%2e;x/b", "!dot segment", "!dot segment"},
		{"/a%2f..%2fb", "!slash", "!dot segment"},
		{"/a%2Fb", "!slash", "/a/b"},
		{"/a;x%2F..%2Fb", "!slash", "!dot segment"},
		{"//a", "!empty", "/a"},
		{"/a//b", "!empty", "/a/b"},
		{"/;/a", "!empty", "/a"},
		{"/a%2f/b", "!slash", "/a/b"},
		{`/a\b`, "!backslash", "!backslash"},
		{`/a/..\b`, "!backslash", "!backslash"},
		{"/a%5cb", "!backslash", "!backslash"},
		{"/a%00b", "!encoding", "!encoding"},
		{"/a%0d%0ab", "!encoding", "!encoding"},
		{"/a%7fb", "!encoding", "!encoding"},
		{"/a%", "!encoding", "!encoding"},
		{"/a%4", "!encoding", "!encoding"},
		{"/a%zzb", "!encoding", "!encoding"},
		{"/a%u002fb", "!encoding", "!encoding"},
		{"/a%252e%252e/b", "!encoding", "!encoding"},
		{"/a%252fb", "!encoding", "!encoding"},
		{"/a%255cb", "!encoding", "!encoding"},
		{"/a%25252fb", "!encoding", "!encoding"},
		{"/%c0%af", "!encoding", "!encoding"},
		{"/%C1%9C", "!encoding", "!encoding"},
		{"", "!begin with a slash", "!begin with a slash"},
		{"a", "!begin with a slash", "!begin with a slash"},
		{"*", "!begin with a slash", "!begin with a slash"},
		{"/a b", "!no path has", "!no path has"},
		{"/a#b", "!no path has", "!no path has"},
		{"/caf\xc3\xa9", "!no path has", "!no path has"},
	} {
		for _, m := range []struct {
			lenient bool
			want    string
		}{{false, c.strict}, {true, c.lenient}} {
			table, err := Compile(nil, m.lenient)
			if err != nil {
				t.Fatal(err)
			}
			r := &Request{Method: "GET", Target: c.path + "?/../x"}
			_, refused := table.Find(r)
			switch reason, refusal := strings.CutPrefix(m.want, "!"); {
			case refusal && (refused == nil || refused.Status != 400 || !strings.Contains(refused.Reason, reason)):
				t.Errorf("%q, lenient %v: read as %q, refused %v; want a refusal for %s", c.path, m.lenient, r.read, refused, reason)
			case !refusal && (refused != nil || string(r.read) != m.want):
				t.Errorf("%q, lenient %v: read as %q, refused %v; want %q", c.path, m.lenient, r.read, refused, m.want)
			}
		}
	}
}

// FuzzPath holds what is accepted against net/url and package path: nothing accepted is changed by cleaning it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/%61/..;/x", "//a", "/a;b/c", "/%2e%2e/", "/a%2fb", "/x%25y", "/api/%C3%A9", "/api;v=1/../x", "/%c0%ae"} {
		f.Add(s, "/new", false)
		f.Add(s, "/", true)
	}
	f.Fuzz(func(t *testing.T, p, to string, lenient bool) {
		const prefix = "/api"
		table, err := Compile([]Config{{Name: "x", Prefixes: []string{prefix}, Rewrite: Rewrite{Prefix: to}}}, lenient)
		if err != nil || to == "" {
			return
		}
		r := &Request{Method: "GET", Target: p}
		route, refused := table.Find(r)
		if refused != nil || r.path == "*" {
			return
		}
		read := string(r.read)
		if !strings.Contains(r.path, ";") {
			want, err := url.PathUnescape(r.path)
			if err != nil {
				t.Fatalf("%q is accepted, net/url says %v", p, err)
			}
			if clean := path.Clean(want); clean != strings.TrimSuffix(read, "/") && clean != read {
				t.Fatalf("%q is read as %q; cleaned it is %q", p, read, clean)
			}
			if !lenient && want != read {
				t.Fatalf("%q is read as %q, and decoded %q", p, read, want)
			}
		}
		for _, s := range strings.Split(read, "/")[1:] {
			if s == "." || s == ".." || strings.ContainsAny(s, "\x00\\\r\n") {
				t.Fatalf("%q is read as %q", p, read)
			}
		}
		if route == nil {
			return
		}
		target, refused := route.AppendTarget(nil, r)
		if refused != nil {
			t.Fatalf("%q cannot be rewritten: %v", p, refused)
		}
		again := &Request{Method: "GET", Target: string(target)}
		if _, refused := table.Find(again); refused != nil && !errors.Is(refused, ErrPathEmpty) {
			t.Fatalf("%q became %q, which is refused: %v", p, target, refused)
		}
		after, err := readPath(to)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(after, "/") + strings.TrimPrefix(read, prefix)
		if want == "" {
			want = "/"
		}
		if got := string(again.read); got != want && !lenient {
			t.Fatalf("%q became %q, which is read as %q, want %q", p, target, got, want)
		}
	})
}
