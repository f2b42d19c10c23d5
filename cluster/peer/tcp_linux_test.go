package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// childEnv makes the test binary a node with many open descriptors, for TestKilledProcessIsNoticedAtOnce.
const childEnv = "TANDEM_TEST_PEER_CHILD"

func TestMain(m *testing.M) {
	if addr := os.Getenv(childEnv); addr != "" {
		child(addr)
		return
	}
	os.Exit(m.Run())
}

// many is how many connections the child has open; each has two descriptors.
const many = 3000

// child runs node b until it is killed.
func child(addrs string) {
	var own, other string
	if _, err := fmt.Sscan(addrs, &own, &other); err != nil {
		fmt.Println(err)
		return
	}
	cfg := configOf("b", 2, netip.MustParseAddrPort(own), netip.MustParseAddrPort(other))
	p, err := New(cfg, hclog.NewNullLogger())
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { fmt.Println(p.Run(context.Background())) }()
	for range many {
		if _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			break // as many as are allowed
		}
	}
	fmt.Println("ready")
	select {}
}

// freePort is a port on a loopback address that was free a moment ago.
func freePort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

// await waits for a state of the stream to name. Real time: what is waited for comes from the kernel.
func await(t *testing.T, p *Streams, name string, what func(State) bool) State {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		if s := p.States()[name]; what(s) {
			return s
		}
		select {
		case <-p.Changed():
		case <-limit:
			t.Fatalf("stream to %s: %+v", name, p.States()[name])
		}
	}
}

func isUp(s State) bool { return s.Up }

func TestKilledProcessIsNoticedAtOnce(t *testing.T) {
	addrA, addrB := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.2")
	a := start(t, nil, Config{Node: "a", Boot: 1, Bind: addrA, Peers: []netip.AddrPort{addrB}, Key: testKey})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+addrB.String()+" "+addrA.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	await(t, a.Streams, "b", isUp)
	killed := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s := await(t, a.Streams, "b", func(s State) bool { return !s.Up })
	if s.BrokeAt.IsZero() {
		t.Errorf("%+v, want a hint\n%s", s, a.log)
	}
	t.Logf("noticed %s after the kill, beside %d other descriptors", s.BrokeAt.Sub(killed), 2*many)
}

func TestRealStreamsLiveOnHighDescriptors(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			addrA, addrB := freePort(t, host), freePort(t, host)
			a := start(t, nil, Config{Node: "a", Boot: 1, Bind: addrA, Peers: []netip.AddrPort{addrB}, Key: testKey})
			b := start(t, nil, Config{Node: "b", Boot: 2, Bind: addrB, Peers: []netip.AddrPort{addrA}, Key: testKey})
			await(t, a.Streams, "b", isUp)
			await(t, b.Streams, "a", isUp)
			if err := a.Send(t.Context(), "b", Message{Kind: Take, Term: 9}); err != nil {
				t.Fatal(err)
			}
			if m := <-b.Inbox(); m.Term != 9 {
				t.Errorf("got %+v", m)
			}
			a.mu.Lock()
			c, ok := a.nodes["b"].cur.conn.(*highConn)
			a.mu.Unlock()
			if !ok {
				t.Fatal("the stream is not on a raised descriptor")
			}
			rc, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = rc.Control(func(fd uintptr) {
				if fd < 256 {
					t.Errorf("the stream is on descriptor %d", fd)
				}
			})
			at := time.Now()
			b.stop()
			s := await(t, a.Streams, "b", func(s State) bool { return !s.Up && !s.ByeAt.IsZero() })
			if !s.BrokeAt.IsZero() || s.ByeAt.IsZero() {
				t.Errorf("%+v, want bye and no hint", s)
			}
			t.Logf("stopping took %s", time.Since(at))
		})
	}
}

func TestRealResetIsAHint(t *testing.T) {
	addrA, addrB := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.2")
	a := start(t, nil, Config{Node: "a", Boot: 1, Bind: addrA, Peers: []netip.AddrPort{addrB}, Key: testKey})
	b := start(t, nil, Config{Node: "b", Boot: 2, Bind: addrB, Peers: []netip.AddrPort{addrA}, Key: testKey})
	await(t, a.Streams, "b", isUp)
	await(t, b.Streams, "a", isUp)
	for range 5 { // a new stream may be there, and the hint gone, before we look
		c := oneStream(t, a, b)
		rc, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = rc.Control(func(fd uintptr) { // closing resets
			_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		was := current(a, "b")
		_ = c.Close()
		s := await(t, a.Streams, "b", func(s State) bool { return !s.BrokeAt.IsZero() || s.Up && current(a, "b") != was })
		if !s.BrokeAt.IsZero() {
			if s.Up {
				t.Errorf("%+v", s)
			}
			return
		}
	}
	t.Error("no hint in five resets")
}

func current(n *testNode, peer string) *highConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.nodes[peer]; p != nil && p.cur != nil {
		return p.cur.conn.(*highConn)
	}
	return nil
}

// oneStream waits until two nodes agree on one stream, since both dial at the start, and returns b's end of it.
func oneStream(t *testing.T, a, b *testNode) *highConn {
	t.Helper()
	for limit := time.After(20 * time.Second); ; {
		c, d := current(b, "a"), current(a, "b")
		if c != nil && d != nil && c.RemoteAddr().String() == d.LocalAddr().String() {
			return c
		}
		select {
		case <-a.Changed():
		case <-b.Changed():
		case <-limit:
			t.Fatal("they do not agree on one stream")
		}
	}
}

func TestRaiseFD(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	var raised []int
	for range reserve + 10 { // more than fit above the first choice
		fd, err := unix.Dup(p[1])
		if err != nil {
			t.Fatal(err)
		}
		high, err := RaiseFD(fd)
		if err != nil {
			t.Fatal(err)
		}
		if high < 256 {
			t.Errorf("raised only to %d", high)
		}
		if fl, err := unix.FcntlInt(uintptr(high), unix.F_GETFD, 0); err != nil || fl&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: flags %x, %v, want close-on-exec", high, fl, err)
		}
		raised = append(raised, high)
	}
	for _, fd := range append(raised, p[:]...) {
		if err := unix.Close(fd); err != nil {
			t.Errorf("close %s: %v", strconv.Itoa(fd), err)
		}
	}
	if _, err := RaiseFD(p[0]); !errors.Is(err, syscall.EBADF) {
		t.Errorf("RaiseFD of a closed descriptor = %v, want EBADF", err)
	}
}
