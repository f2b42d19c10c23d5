package gossip

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// freePort asks the kernel for an address on the loopback that nobody uses, for UDP and TCP.
func freePort(t *testing.T, ip string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

// waitFor waits for real time to bring what cond wants, woken by the node's pokes.
func waitFor(t *testing.T, n *node, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-n.Changed():
		case <-deadline:
			t.Fatalf("no %s after 10 s; the log:\n%s", what, n.log.text())
		}
	}
}

// TestRealSockets is the one test here with the kernel's network and clock: everything else runs on gossiptest's.
func TestRealSockets(t *testing.T) {
	at1, at2 := freePort(t, "127.0.0.11"), freePort(t, "127.0.0.12")
	a := start(t, nil, conf("lb1", at1, at2), Meta{Boot: 1})
	b := start(t, nil, conf("lb2", at2, at1), Meta{Boot: 2})
	waitFor(t, a, "join", func() bool { return a.state("lb2") == Alive })
	waitFor(t, b, "join", func() bool { return b.state("lb1") == Alive })
	if m := a.Snapshot()[0]; m.Addr != at2 || m.Meta.Boot != 2 {
		t.Errorf("lb1 sees %+v", m)
	}
	b.leave()
	waitFor(t, a, "leave", func() bool { return a.state("lb2") == Left || a.state("lb2") == Lost }) // lost, if it was stalled before
	bad := conf("lb2", at2, at1)
	bad.Key = key2
	b = start(t, nil, bad, Meta{Boot: 3})
	deadline := time.Now().Add(10 * time.Second)
	for len(a.log.find("error", "cluster key differs", at2.String())) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	b.leave()
	a.leave()
	a.want(1, "error", "cluster key differs", at2.String())
	b.want(1, "error", "cluster key differs", at1.String())
}

func TestAddressTakenByAnotherProcessIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.13:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	g, err := New(conf("lb1", netip.MustParseAddrPort(l.Addr().String()), addr2), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	err = g.Run(t.Context())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process has it") {
		t.Errorf("Run: %v", err)
	}
}

func TestWaitsForAnAddressThatIsNotThereYetAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &record{}
		// TEST-NET-1: no host has it.
		g, err := New(conf("lb1", netip.MustParseAddrPort("192.0.2.1:7946"), addr2),
			hclog.New(&hclog.LoggerOptions{Output: log, JSONFormat: true}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := len(log.find("warn", "waiting for an address", "192.0.2.1", "cluster.bind")); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, log.text())
		}
	})
}

func TestMutePeerDelaysNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.14:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	at := freePort(t, "127.0.0.15")
	n := start(t, nil, conf("lb1", at, netip.MustParseAddrPort(l.Addr().String())), Meta{Boot: 1})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if from := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr(); from != at.Addr() {
		t.Errorf("the stream comes from %s, want %s: the peer knows only that", from, at.Addr())
	}
	began := time.Now()
	n.leave() // while its join waits for an answer
	if took := time.Since(began); took > streamBudget/2 {
		t.Errorf("leaving took %s", took)
	}
}

// A packet takes about as much memory as it is long: otherwise gossip alone keeps the garbage collector busy.
func TestPacketsTakeLittleMemory(t *testing.T) {
	at := freePort(t, "127.0.0.13")
	s, err := openSockets(t.Context(), at, nil, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteTo([]byte("hello"), at.String()); err != nil {
		t.Fatal(err)
	}
	p := <-s.PacketCh()
	if string(p.Buf) != "hello" || p.From.String() != at.String() || cap(p.Buf) > 1<<10 {
		t.Errorf("%q from %s, taking %d bytes", p.Buf, p.From, cap(p.Buf))
	}
	if err := s.Shutdown(); err != nil {
		t.Error(err)
	}
}
