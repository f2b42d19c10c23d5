package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

func here(netip.Addr) bool { return true }

func test(t *testing.T, p *Proxy, limit time.Duration, here func(netip.Addr) bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return p.Test(ctx, here)
}

func TestSelfTestIsNoClient(t *testing.T) {
	backend, _ := script(t, okAnswer)
	for _, protocol := range []Protocol{HTTP, TCP} {
		l := newLab(t, ListenerConfig{Protocol: protocol}, backend)
		for range 5 {
			if err := test(t, l.proxy, 10*time.Second, here); err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
		}
		if n := l.proxy.Accepted(); n != 0 {
			t.Errorf("%s: %d visits of its own counted as clients", protocol, n)
		}
		if n := l.proxy.listeners()[0].visits.pending.Load(); n != 0 {
			t.Errorf("%s: %d visits are still expected", protocol, n)
		}
		c := l.dial() // a client beside it is served
		defer c.Close()
		for deadline := time.Now().Add(10 * time.Second); l.proxy.Accepted() != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the client was not accepted", protocol)
			}
		}
	}
}

// TestSelfTestNoticesWhoDoesNotAccept: the kernel completes the handshake, the accept loop does not come.
func TestSelfTestNoticesWhoDoesNotAccept(t *testing.T) {
	s, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stuck := func(bind netip.AddrPort) *Proxy { // says that it is open, and accepts nothing
		p, err := New(Config{Listeners: []ListenerConfig{{Name: "front", Bind: bind, Protocol: HTTP, Pool: "web"}}},
			pool.NewSet([]pool.Config{{Name: "web"}}), hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		p.listeners()[0].set(true, "")
		return p
	}
	p := stuck(addrOf(s))
	err = test(t, p, 100*time.Millisecond, here)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "front: connected, but not accepted") {
		t.Errorf("Test = %v", err)
	}
	if n := p.listeners()[0].visits.pending.Load(); n != 0 {
		t.Errorf("%d visits are still expected", n)
	}
	if err := test(t, stuck(freeAddr(t)), 10*time.Second, here); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("Test of a port where nobody listens = %v", err)
	}
	if err := test(t, stuck(netip.MustParseAddrPort("192.0.2.1:80")), 10*time.Second, here); err != nil {
		t.Errorf("Test of an address that has just left = %v", err)
	}
}

func TestSelfTestOfAStandbyStaysInside(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, Bind: netip.MustParseAddrPort("192.0.2.1:81")})
	away := func(a netip.Addr) bool { return a != netip.MustParseAddr("192.0.2.1") }
	if err := test(t, l.proxy, 10*time.Second, away); err != nil {
		t.Errorf("Test = %v", err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	none := was
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	if err := test(t, l.proxy, 10*time.Second, away); !errors.Is(err, unix.EMFILE) {
		t.Errorf("Test without descriptors = %v", err)
	}
}

func TestSelfTestOfAWildcard(t *testing.T) {
	for _, all := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		free, err := net.Listen("tcp", netip.AddrPortFrom(all, 0).String()) // free on every address
		if err != nil {
			t.Fatal(err)
		}
		port := free.Addr().(*net.TCPAddr).AddrPort().Port()
		free.Close()
		l := newLab(t, ListenerConfig{Protocol: TCP, Bind: netip.AddrPortFrom(all, port)})
		if err := test(t, l.proxy, 10*time.Second, func(netip.Addr) bool { return false }); err != nil {
			t.Errorf("Test of %s = %v", all, err)
		}
	}
}
