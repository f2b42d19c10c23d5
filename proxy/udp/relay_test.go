package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// lab is a relay on loopback, in front of backends.
type lab struct {
	t      *testing.T
	relay  *Relay
	pools  *pool.Set
	addr   *net.UDPAddr
	cancel func()
	ended  chan error
	log    syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, cfg Config, backends ...netip.AddrPort) *lab {
	t.Helper()
	pc := pool.Config{Name: "p"}
	for i, a := range backends {
		pc.Backends = append(pc.Backends, pool.BackendConfig{Name: string(rune('a' + i)), Address: a})
	}
	l := &lab{t: t, pools: pool.NewSet([]pool.Config{pc}), ended: make(chan error, 1)}
	if !cfg.Bind.IsValid() {
		cfg.Bind = freeAddr(t, "127.0.0.1")
	}
	if cfg.Idle == 0 {
		cfg.Idle = time.Minute
	}
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = 1000
	}
	s, err := Open(cfg.Bind)
	if err != nil {
		t.Fatal(err)
	}
	l.addr = net.UDPAddrFromAddrPort(cfg.Bind)
	l.relay = New(cfg, l.pools.Pool("p"), hclog.New(&hclog.LoggerOptions{Output: &l.log, Level: hclog.Debug}))
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	go func() { l.ended <- l.relay.Run(ctx, s) }()
	t.Cleanup(l.stop)
	return l
}

// stop ends the relay and looks at what it leaves.
func (l *lab) stop() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	l.cancel = nil
	if err := <-l.ended; err != nil {
		l.t.Errorf("Run: %v", err)
	}
	if n := l.relay.Stats().Flows; n != 0 {
		l.t.Errorf("%d flows after the end", n)
	}
	for _, b := range l.pools.Snapshot()[0].Backends {
		if b.Active != 0 {
			l.t.Errorf("backend %s has %d uses after the end", b.Name, b.Active)
		}
	}
	if l.t.Failed() {
		l.t.Log(l.log.String())
	}
}

func freeAddr(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// backend answers each datagram with what answer returns.
func backend(t *testing.T, answer func(string) []string) netip.AddrPort {
	t.Helper()
	return backendOn(t, "127.0.0.1:0", answer)
}

func backendOn(t *testing.T, at string, answer func(string) []string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			for _, a := range answer(string(buf[:n])) {
				_, _ = c.WriteTo([]byte(a), from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func echo(s string) []string { return []string{s} }

func named(name string) func(string) []string {
	return func(s string) []string { return []string{name + ":" + s} }
}

func (l *lab) dial() *net.UDPConn {
	l.t.Helper()
	c, err := net.DialUDP("udp", nil, l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// ask sends and returns the next answer.
func (l *lab) ask(c *net.UDPConn, s string) string {
	l.t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		l.t.Fatal(err)
	}
	return l.next(c)
}

func (l *lab) next(c *net.UDPConn) string {
	l.t.Helper()
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		l.t.Fatalf("no answer: %v", err)
	}
	return string(b[:n])
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestDatagramsGoBothWaysWhole(t *testing.T) {
	l := start(t, Config{}, backend(t, echo))
	c := l.dial()
	for _, n := range []int{1, 0, 64, 1472, 9000, 65507} {
		sent := strings.Repeat("x", n)
		if got := l.ask(c, sent); got != sent {
			t.Errorf("%d bytes come back as %d", n, len(got))
		}
	}
	eventually(t, "all are counted", func() bool { // an answer is, once it has been sent
		s := l.relay.Stats()
		return s.Opened == 1 && s.Flows == 1 && s.Received == 6 && s.Answers == 6 && s.Dropped == 0
	})
}

func TestEachClientHasItsOwnFlowAndKeepsItsBackend(t *testing.T) {
	l := start(t, Config{}, backend(t, named("a")), backend(t, named("b")))
	seen := map[string]int{}
	for i := range 10 {
		c := l.dial()
		first := l.ask(c, fmt.Sprint(i))
		name := first[:1]
		seen[name]++
		for j := range 5 {
			if got, want := l.ask(c, fmt.Sprint(i, j)), fmt.Sprint(name, ":", i, " ", j); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Errorf("clients went to %v, want half to each", seen)
	}
}

func TestManyClientsAtOnceAreAllAnswered(t *testing.T) {
	l := start(t, Config{}, backend(t, echo))
	var wg sync.WaitGroup
	for i := range 20 {
		c := l.dial()
		wg.Go(func() {
			for j := range 200 { // a window of 8, which fits every buffer
				for k := range 8 {
					_, _ = fmt.Fprintf(c, "%d %d %d", i, j, k)
				}
				var got, want []string
				for k := range 8 {
					want = append(want, fmt.Sprintf("%d %d %d", i, j, k))
					b := make([]byte, 64)
					n, err := c.Read(b)
					if err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					got = append(got, string(b[:n]))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestFlowEndsWithTheResponsesThatWereExpected(t *testing.T) {
	l := start(t, Config{Responses: 2}, backend(t, func(s string) []string { return []string{s, s} }))
	c := l.dial()
	l.ask(c, "question")
	l.next(c)
	eventually(t, "the flow has ended", func() bool { return l.relay.Stats().Flows == 0 })
	if !strings.Contains(l.log.String(), "reason=answered") {
		t.Error("the end is not told")
	}
	l.ask(c, "another") // from the same port
	l.next(c)
	if n := l.relay.Stats().Opened; n != 2 {
		t.Errorf("%d flows were opened, want 2", n)
	}
}

func TestIdleFlowsEnd(t *testing.T) {
	l := start(t, Config{Idle: 100 * time.Millisecond}, backend(t, echo))
	l.ask(l.dial(), "x")
	eventually(t, "the idle flow has ended", func() bool { return l.relay.Stats().Flows == 0 })
	if !strings.Contains(l.log.String(), "reason=idle") {
		t.Error("the reason is not told")
	}
}

func TestTableIsCappedAndTheLongestSilentMakesRoom(t *testing.T) {
	l := start(t, Config{MaxFlows: 3}, backend(t, echo))
	kept := l.dial()
	l.ask(kept, "1")
	l.ask(kept, "2") // confirmed
	for range 20 {
		if got := l.ask(l.dial(), "new"); got != "new" {
			t.Errorf("a new client got %q", got)
		}
	}
	if s := l.relay.Stats(); s.Flows != 3 || s.Evicted != 18 || s.Opened != 21 {
		t.Errorf("counted %+v, want 3 flows, 18 evicted", s)
	}
	l.ask(kept, "3")
	if s := l.relay.Stats(); s.Opened != 21 {
		t.Error("the flow of a confirmed client was ended for clients that may be forged")
	}
	if n := strings.Count(l.log.String(), "flows ended early"); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}

// TestRefusedDatagramGoesToAnotherBackend: nobody listens at the first backend, which its host tells by ICMP.
func TestRefusedDatagramGoesToAnotherBackend(t *testing.T) {
	l := start(t, Config{}, freeAddr(t, "127.0.0.1"), backend(t, named("b")))
	c := l.dial()
	deadline := time.Now().Add(20 * time.Second)
	got := ""
	for n := 0; got == ""; n++ {
		_, _ = fmt.Fprint(c, n)
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		b := make([]byte, 64)
		if k, err := c.Read(b); err == nil {
			got = string(b[:k])
		}
		if time.Now().After(deadline) {
			t.Fatal("never answered")
		}
	}
	if !strings.HasPrefix(got, "b:") {
		t.Errorf("answered %q", got)
	}
	st := l.pools.Snapshot()[0].Backends
	if st[0].Failures == 0 || st[1].Failures != 0 {
		t.Errorf("failures %d and %d, want only the first one to be blamed", st[0].Failures, st[1].Failures)
	}
	if l.relay.Stats().Opened != 1 {
		t.Error("the client's flow was ended")
	}
}

func TestOnlyBackendIsTriedAgainAfterItRefused(t *testing.T) {
	at := freeAddr(t, "127.0.0.1")
	l := start(t, Config{}, at)
	c := l.dial()
	_, _ = fmt.Fprint(c, "lost")
	eventually(t, "the refusal is counted", func() bool { return l.pools.Snapshot()[0].Backends[0].Failures > 0 })
	backendOn(t, at.String(), echo)
	if got := l.ask(c, "back"); got != "back" {
		t.Errorf("answered %q", got)
	}
}

func TestFlowsLeaveABackendThatGoesDown(t *testing.T) {
	l := start(t, Config{}, backend(t, named("a")), backend(t, named("b")))
	c := l.dial()
	first := l.ask(c, "x")[:1]
	l.pools.SetUp("p", first, false, "test")
	eventually(t, "the flow has ended", func() bool { return l.relay.Stats().Flows == 0 })
	if again := l.ask(c, "y")[:1]; again == first {
		t.Errorf("the client is still sent to %s", again)
	}
	l.pools.SetUp("p", map[string]string{"a": "b", "b": "a"}[first], false, "test")
	_, _ = fmt.Fprint(c, "nobody")
	eventually(t, "a datagram for nobody is counted", func() bool { s := l.relay.Stats(); return s.Refused == 1 && s.Dropped == 1 })
	l.pools.SetUp("p", first, true, "test")
	if got := l.ask(c, "z"); got != first+":z" {
		t.Errorf("answered %q, want by %s", got, first)
	}
}

// TestAnswersComeFromTheAddressThatWasAsked: a socket bound to all addresses answers from the one that a client has sent to.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	for _, tt := range []struct{ all, one, other string }{
		{"0.0.0.0", "127.0.0.1", "127.0.0.2"},
		{"::", "::1", "::1"},
	} {
		port := freeAddr(t, tt.one).Port()
		l := start(t, Config{Bind: netip.AddrPortFrom(netip.MustParseAddr(tt.all), port)}, backend(t, echo))
		for _, to := range []string{tt.one, tt.other} {
			l.addr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(to), port))
			if got := l.ask(l.dial(), to); got != to { // a connected socket takes answers from there only
				t.Errorf("asked at %s: %q", to, got)
			}
		}
		l.stop()
	}
}

func TestEndWaitsForAnswersOnTheirWay(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{})
	l := start(t, Config{}, backend(t, func(s string) []string { close(asked); <-release; return []string{s} }))
	c := l.dial()
	_, _ = fmt.Fprint(c, "late")
	<-asked
	l.cancel()
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if got := l.next(c); got != "late" {
		t.Errorf("got %q", got)
	}
}

func TestEndDoesNotWaitForSilence(t *testing.T) {
	l := start(t, Config{}, backend(t, func(string) []string { return nil }))
	_, _ = fmt.Fprint(l.dial(), "one way")
	eventually(t, "it has come", func() bool { return l.relay.Stats().Received == 1 })
	began := time.Now()
	l.stop()
	if took := time.Since(began); took > 10*lastAnswers {
		t.Errorf("the end took %s", took)
	}
}

func TestResetEndsAllFlows(t *testing.T) {
	l := start(t, Config{}, backend(t, echo))
	c := l.dial()
	l.ask(c, "x")
	l.relay.Reset()
	eventually(t, "the flow has ended", func() bool { return l.relay.Stats().Flows == 0 })
	l.ask(c, "y")
}

func TestFlowsThatAreNotAdmittedAreDropped(t *testing.T) {
	var left sync.WaitGroup
	left.Add(1)
	l := start(t, Config{
		Admit: func(a netip.Addr, _ func() bool) error {
			if a != netip.MustParseAddr("127.0.0.1") {
				return errors.New("no")
			}
			return nil
		},
		Left: func(netip.Addr) { left.Done() },
	}, backend(t, echo))
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)}, l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprint(c, "x")
	eventually(t, "it is refused", func() bool { s := l.relay.Stats(); return s.Refused == 1 && s.Dropped == 1 && s.Flows == 0 })
	l.ask(l.dial(), "y")
	l.stop()
	left.Wait()
}

func TestAdmissionMayHaveASilentFlowMakeRoom(t *testing.T) {
	var flows, early int // of the loop, until it has ended
	l := start(t, Config{
		Admit: func(_ netip.Addr, evict func() bool) error {
			switch {
			case flows == 0 && evict():
				return errors.New("there was a flow before there was one")
			case flows == 2 && evict():
				early++
			}
			flows++
			return nil
		},
		Left: func(netip.Addr) { flows-- },
	}, backend(t, echo))
	first := l.dial()
	l.ask(first, "a")
	l.ask(l.dial(), "b")
	l.ask(l.dial(), "c")
	if s := l.relay.Stats(); s.Flows != 2 || s.Evicted != 1 {
		t.Errorf("%+v, want two flows and one that has made room", s)
	}
	l.ask(first, "d") // begins anew
	l.stop()
	if early != 2 || flows != 0 {
		t.Errorf("%d have made room, want 2; %d flows are left, want none", early, flows)
	}
}

func TestAddressNeedNotBeHereAndAPortIsNotShared(t *testing.T) {
	for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
		s, err := Open(netip.AddrPortFrom(netip.MustParseAddr(a), 0))
		if err != nil {
			t.Errorf("open %s: %v", a, err)
			continue
		}
		s.Close()
	}
	at := freeAddr(t, "127.0.0.1")
	s, err := Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if second, err := Open(at); err == nil {
		second.Close()
		t.Error("a second socket takes the same port")
	}
}
