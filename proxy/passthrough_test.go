package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// behind is a pool with one backend by TLS that says its own name.
func behind(t *testing.T, a *authority, name string) pool.Config {
	t.Helper()
	s := secureWeb(t, a, &tls.Config{}, "*.example.org", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
	pc := webPool(addrOf(s.Listener))
	pc.Name = name
	return pc
}

func TestPassthroughChoosesByName(t *testing.T) {
	a := newAuthority(t)
	cfg := ListenerConfig{Protocol: TCP, Passthrough: true, Names: []NamedPool{
		{Names: []string{"one.example.org"}, Pool: "one"}, {Names: []string{"*.example.org"}, Pool: "any"},
	}}
	l := newLabOf(t, Config{Listeners: []ListenerConfig{cfg}}, behind(t, a, "one"), behind(t, a, "any"))
	for name, want := range map[string]string{"one.example.org": "one", "ONE.example.org": "one", "two.example.org": "any"} {
		if _, got := ask(t, l.secure(a.client(name)), name); got != want {
			t.Errorf("%s leads to %s, want %s", name, got, want)
		}
	}
	if err := tls.Client(l.dial(), a.client("other.net")).Handshake(); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name that is not known: %v", err)
	}
	if got, _ := io.ReadAll(said(l.dial(), "GET / HTTP/1.1\r\n\r\n")); len(got) > 0 {
		t.Errorf("what is no TLS was answered %q", got)
	}
}

// said is c after something was said on it.
func said(c net.Conn, what string) net.Conn {
	_, _ = io.WriteString(c, what)
	return c
}

func TestPassthroughHasADefault(t *testing.T) {
	a := newAuthority(t)
	cfg := ListenerConfig{Protocol: TCP, Passthrough: true, Pool: "any", Names: []NamedPool{{Names: []string{"one.example.org"}, Pool: "one"}}}
	l := newLabOf(t, Config{Listeners: []ListenerConfig{cfg}}, behind(t, a, "one"), behind(t, a, "any"))
	if _, got := ask(t, l.secure(a.client("two.example.org")), "x"); got != "any" {
		t.Errorf("another name leads to %s", got)
	}
	none := &tls.Config{InsecureSkipVerify: true}
	if _, got := ask(t, l.secure(none), "x"); got != "any" {
		t.Errorf("no name leads to %s", got)
	}
}

func TestClientWithoutAHelloIsLetGo(t *testing.T) {
	a := newAuthority(t)
	cfg := ListenerConfig{Protocol: TCP, Passthrough: true, Pool: "one", HeaderTimeout: 50 * time.Millisecond}
	l := newLabOf(t, Config{Listeners: []ListenerConfig{cfg}}, behind(t, a, "one"))
	for _, part := range []string{"", "\x16\x03\x01\x02"} {
		if _, err := io.ReadAll(said(l.dial(), part)); err == nil {
			t.Errorf("after %q the session ended without a reset", part)
		}
	}
}
