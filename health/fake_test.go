package health

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fakeNet is a network of backends in memory. A backend without a handler refuses.
type fakeNet struct {
	mu       sync.Mutex // guards all below
	handlers map[netip.AddrPort]func(net.Conn)
	errs     map[netip.AddrPort]error
	called   map[netip.AddrPort][]time.Time
	open     int // connections that the checker has not closed
	wg       sync.WaitGroup
}

func newFakeNet() *fakeNet {
	return &fakeNet{
		handlers: map[netip.AddrPort]func(net.Conn){},
		errs:     map[netip.AddrPort]error{},
		called:   map[netip.AddrPort][]time.Time{},
	}
}

// serve sets what a backend does with a connection; nil: it refuses.
func (f *fakeNet) serve(addr netip.AddrPort, h func(net.Conn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[addr] = h
}

func (f *fakeNet) fail(addr netip.AddrPort, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs[addr] = err
}

func (f *fakeNet) times(addr netip.AddrPort) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.called[addr]...)
}

func (f *fakeNet) connect(_ context.Context, addr netip.AddrPort) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.called[addr] = append(f.called[addr], time.Now())
	if err := f.errs[addr]; err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	h := f.handlers[addr]
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	f.open++
	f.wg.Go(func() {
		defer far.Close()
		h(far)
	})
	return &countedConn{Conn: near, net: f}, nil
}

// countedConn notes that it was closed.
type countedConn struct {
	net.Conn
	net  *fakeNet
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.net.mu.Lock()
		c.net.open--
		c.net.mu.Unlock()
	})
	return c.Conn.Close()
}

// answer makes a backend that reads a request header and then writes text.
func answer(text string) func(net.Conn) {
	return func(c net.Conn) {
		if readHeader(c) != "" {
			_, _ = c.Write([]byte(text))
		}
	}
}

// readHeader reads up to the empty line and returns what it read; empty when the peer went away before.
func readHeader(c net.Conn) string {
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte("\r\n\r\n")) {
		n, err := c.Read(buf)
		if err != nil {
			return ""
		}
		got = append(got, buf[:n]...)
	}
	return string(got)
}

// logBuffer collects a checker's log.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(regexp.MustCompile(`\]\s+`+regexp.QuoteMeta(message)+`:`).FindAll(l.buf.Bytes(), -1))
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func logger(b *logBuffer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: b, Level: hclog.Debug, TimeFn: time.Now})
}

// reported is one call of report.
type reported struct {
	pool, backend string
	up            bool
	reason        string
	at            time.Duration // since the start
}

// world is a checker that runs in a bubble.
type world struct {
	*fakeNet
	*Checker
	logged  logBuffer
	started time.Time
	stop    func() // ends Run and fails the test if something is left

	mu      sync.Mutex // guards reports
	reports []reported
}

// start runs a checker of targets in the present bubble. setup prepares the network.
func start(t *testing.T, setup func(*fakeNet), targets ...Target) *world {
	t.Helper()
	return startAt(t, nil, setup, targets...)
}

// startAt is start where backends are known by name.
func startAt(t *testing.T, where func(pool, backend string) (netip.AddrPort, string), setup func(*fakeNet), targets ...Target) *world {
	t.Helper()
	w := &world{fakeNet: newFakeNet(), started: time.Now()}
	setup(w.fakeNet)
	w.Checker = newChecker(targets, func(pool, backend string, up bool, reason string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reports = append(w.reports, reported{pool, backend, up, reason, time.Since(w.started)})
	}, logger(&w.logged), w.connect, *seed)
	w.Locate(where)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if w.open != 0 {
			t.Errorf("%d connections were left open", w.open)
		}
		w.wg.Wait()
	}
	return w
}

func (w *world) told() []reported {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]reported(nil), w.reports...)
}

// after lets fake time go on and everything settle.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func target(pool, backend, addr string, cfg Config) Target {
	return Target{Pool: pool, Backend: backend, Address: netip.MustParseAddrPort(addr), Config: cfg}
}
