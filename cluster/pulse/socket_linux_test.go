package pulse

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

func loopback(t *testing.T, bind string) (*sockets, netip.AddrPort) {
	t.Helper()
	s, err := openSockets([]netip.AddrPort{netip.MustParseAddrPort(bind)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, localAddr(t, s.paths[0].fd)
}

// The layer of system calls, on loopback: the one test here with real sockets and real time.
func TestSocketCarriesDatagramsAndTheirTimes(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(bind, func(t *testing.T) {
			a, aAddr := loopback(t, bind)
			b, bAddr := loopback(t, bind)
			var buf [32]byte
			if _, ok, err := b.Read(buf[:]); ok || err != nil {
				t.Fatalf("Read of nothing = %v, %v", ok, err)
			}
			before := time.Now()
			for _, msg := range []string{"hello", "longer than the buffer of 32 bytes is"} {
				if err := a.Write([]byte(msg), 0, bAddr); err != nil {
					t.Fatal(err)
				}
				if err := b.Wait(before.Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				got, ok, err := b.Read(buf[:])
				if err != nil || !ok || got.From != aAddr || string(buf[:min(got.N, 32)]) != msg[:min(len(msg), 32)] || (got.N > 32) != (len(msg) > 32) {
					t.Fatalf("Read = %+v %q, %v, %v, want %q from %s", got, buf[:min(got.N, 32)], ok, err, msg, aAddr)
				}
				if at := time.Unix(0, got.Stamp); at.Before(before.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Millisecond)) {
					t.Errorf("stamp %s, sent at %s", at, before)
				}
			}
			a.Wake()
			if err := a.Wait(time.Now().Add(time.Hour)); err != nil { // a lost wake-up would be seen
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(50, func() {
				_ = a.Write(buf[:], 0, bAddr)
				_ = b.Wait(time.Now())
				_, _, _ = b.Read(buf[:])
			}); n != 0 {
				t.Errorf("%v allocations per datagram, want 0", n)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			a.Wake() // harmless
		})
	}
}

func TestSocketSaysWhenFamiliesDoNotMatch(t *testing.T) {
	s, _ := loopback(t, "127.0.0.1:0")
	if err := s.Write([]byte("x"), 0, netip.MustParseAddrPort("[::1]:9")); err == nil {
		t.Error("no error")
	}
}

func TestRealNodesHearEachOther(t *testing.T) {
	_, aAddr := loopback(t, "127.0.0.1:0")
	_, bAddr := loopback(t, "127.0.0.2:0")
	// The ports are the kernel's choice; on other addresses of the loopback they are free.
	aAddr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), aAddr.Port())
	bAddr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.4"), bAddr.Port())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	run := func(name string, boot uint64, bind, peer netip.AddrPort) *Pulse {
		p, err := New(Config{
			Node: name, Boot: boot, Bind: bind, Peers: []netip.AddrPort{peer}, Every: 10 * time.Millisecond, Failover: 200 * time.Millisecond,
		}, hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn}))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		p.Publish(Beat{Fit: true})
		return p
	}
	a, b := run("a", 1, aAddr, bAddr), run("b", 2, bAddr, aAddr)
	for _, p := range []*Pulse{a, b} {
		for {
			met := false
			for _, q := range p.Snapshot() {
				met = q.HearsMe
			}
			if met {
				break
			}
			select {
			case <-p.Changed():
			case <-ctx.Done():
				t.Fatalf("not met: %+v %+v", p.Snapshot(), p.Stats())
			}
		}
	}
}

func localAddr(t *testing.T, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	t.Fatalf("an address of type %T", sa)
	return netip.AddrPort{}
}
