package health

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The fakes say what the kernel is believed to say; here it says it, on loopback.

func realProbe(t *testing.T, addr netip.AddrPort, cfg Config) result {
	t.Helper()
	return newProber(Target{Address: addr, Config: cfg}, dialTCP).probe(t.Context())
}

func TestARealRefusalIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := realProbe(t, netip.MustParseAddrPort(l.Addr().String()), Config{})
	if r.ok || r.local || r.reason != "connect: connection refused" {
		t.Errorf("got %+v, want connect: connection refused", r)
	}
}

func TestARealBackendIsUp(t *testing.T) {
	for _, tlsOn := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}))
		if tlsOn {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		addr := netip.MustParseAddrPort(srv.Listener.Addr().String())
		r := realProbe(t, addr, Config{Type: HTTP, TLS: tlsOn, TLSInsecure: true, Interval: 10 * time.Second, Timeout: 10 * time.Second})
		if !r.ok || r.reason != "status 302" {
			t.Errorf("TLS %v: got %+v, want up by status 302", tlsOn, r)
		}
		srv.Close()
	}
}

func TestARealBackendWithAFullQueueTimesOut(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*unix.SockaddrInet4).Port))
	// A queue of length 0 takes one connection that nobody accepts; the SYNs of further ones are dropped.
	c, err := net.DialTimeout("tcp", addr.String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := realProbe(t, addr, Config{Timeout: 60 * time.Millisecond})
	if r.ok || r.reason != "timeout after 60ms (connect)" {
		t.Errorf("got %+v, want timeout after 60ms (connect)", r)
	}
}
