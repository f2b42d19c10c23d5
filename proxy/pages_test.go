package proxy

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestErrorPages(t *testing.T) {
	html, missing := write(t, "sorry.html", "<p>sorry</p>"), filepath.Join(t.TempDir(), "missing")
	cfg := ListenerConfig{Protocol: HTTP,
		ErrorPages: []ErrorPage{{Statuses: []int{503, 400}, File: html}, {Statuses: []int{403}, File: missing}, {Statuses: []int{417}, File: "/dev/zero"}},
		Routes: []route.Config{
			{Name: "file", Paths: []string{"/file"}, Respond: &route.Respond{Status: 503, File: html}},
			{Name: "typed", Paths: []string{"/typed"}, Respond: &route.Respond{Status: 503, File: html, ContentType: "text/x-odd"}},
			{Name: "missing", Paths: []string{"/missing"}, Respond: &route.Respond{Status: 503, File: missing}},
			{Name: "denied", Paths: []string{"/denied"}, Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		}}
	l := newLabOn(t, cfg, pool.Config{Name: "web"})
	for _, c := range []struct {
		raw  string
		want []string
	}{
		{get("/", "a"), []string{"HTTP/1.1 503 ", "Content-Type: text/html; charset=utf-8\r\n", "Retry-After: 1\r\n", "Content-Length: 12\r\n", "\r\n\r\n<p>sorry</p>"}},
		{"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", []string{"HTTP/1.1 503 ", "Content-Length: 12\r\n\r\n"}},
		{"GET / HTTP/1.1\r\n\r\n", []string{"HTTP/1.1 400 ", "\r\n\r\n<p>sorry</p>", "Connection: close\r\n"}},
		{get("/denied", "a"), []string{"HTTP/1.1 403 ", "Content-Type: text/plain; charset=utf-8\r\n", "\r\n\r\n403 Forbidden: client is not allowed here\n"}},
		{get("/", "a", "Expect: x\r\n"), []string{"HTTP/1.1 417 ", "text/plain"}},
		{get("/file", "a"), []string{"HTTP/1.1 503 ", "text/html", "\r\n\r\n<p>sorry</p>"}},
		{get("/typed", "a"), []string{"HTTP/1.1 503 ", "text/x-odd", "\r\n\r\n<p>sorry</p>"}},
		{get("/missing", "a"), []string{"HTTP/1.1 503 ", "\r\n\r\n503 Service Unavailable\n"}},
	} {
		got := l.talk(c.raw)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%.40q: %q lacks %q", c.raw, got, want)
			}
		}
	}
	if n := strings.Count(l.log.String(), "page could not be read"); n != 3 {
		t.Errorf("%d pages told as unreadable, want 3:\n%s", n, l.log)
	}
}

func TestARouteIsSwitchedByAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "maintenance")
	cfg := ListenerConfig{Protocol: HTTP, Routes: []route.Config{{Name: "m", While: file, Respond: &route.Respond{Status: 503, Body: []byte("soon")}}}}
	l := newLabOn(t, cfg, echo(t, "web"))
	front := l.proxy.listeners()[0]
	for i, want := range []string{"200", "503", "200"} {
		switch i {
		case 1:
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		case 2:
			os.Remove(file)
		}
		front.look() // what is done every second
		front.look()
		if got := l.talk(get("/", "a")); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("step %d: %q, want %s", i, got, want)
		}
	}
	if n := strings.Count(l.log.String(), "route switched by its file"); n > 3 || n < 2 {
		t.Errorf("told %d times", n)
	}
}

func TestPagesOfErrorsAreWhole(t *testing.T) {
	l := &listener{}
	for status := 400; status < 600; status++ {
		got := string(l.appendPage(nil, status, "because", false, true))
		header, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.Contains(header, fmt.Sprintf("Content-Length: %d", len(body))) {
			t.Fatalf("%q has a body of %d", got, len(body))
		}
	}
}
