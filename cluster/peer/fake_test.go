package peer

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

var testKey = bytes.Repeat([]byte{7}, 32)

// wires connects nodes by pipes, and breaks them.
type wires struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*pipeListener
	conns     []*pipeConn
	dials     int
	refuse    bool
}

type pipeListener struct {
	addr   netip.AddrPort
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// pipeConn is one end, with an address, that can be made to fail.
type pipeConn struct {
	net.Conn
	owner  netip.AddrPort // whose end it is
	remote netip.AddrPort
	mu     sync.Mutex
	err    error // what Read says once the pipe has ended
}

func (c *pipeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *pipeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.err != nil {
		err = c.err
	}
	return n, err
}

// end makes the owner's reader see err, as if the kernel had said so.
func (c *pipeConn) end(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	_ = c.Conn.Close() //nolint:staticcheck // this type's own Close would come back here
}

func (w *wires) listen(addr netip.AddrPort) func(context.Context) (net.Listener, error) {
	return func(context.Context) (net.Listener, error) {
		l := &pipeListener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.listeners == nil {
			w.listeners = map[netip.AddrPort]*pipeListener{}
		}
		w.listeners[addr] = l
		return l, nil
	}
}

func (w *wires) dial(from netip.AddrPort) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		w.mu.Lock()
		w.dials++
		l := w.listeners[to]
		refuse := w.refuse
		w.mu.Unlock()
		if l == nil || refuse {
			return nil, syscall.ECONNREFUSED
		}
		a, b := net.Pipe()
		near := &pipeConn{Conn: a, owner: from, remote: to}
		far := &pipeConn{Conn: b, owner: to, remote: from}
		select {
		case l.conns <- far:
		case <-l.closed:
			return nil, syscall.ECONNREFUSED
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns = append(w.conns, near, far)
		return near, nil
	}
}

// endAll ends every connection; the ends of addr see err.
func (w *wires) endAll(addr netip.AddrPort, err error) {
	w.mu.Lock()
	all := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, c := range all {
		if c.owner == addr {
			c.end(err)
		}
	}
}

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:7947")
	addrB = netip.MustParseAddrPort("10.0.0.2:7947")
)

type testNode struct {
	*Streams
	log  *logBuffer
	stop func()
}

// logBuffer is a bytes.Buffer for several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func configOf(name string, boot uint64, addr netip.AddrPort, peers ...netip.AddrPort) Config {
	return Config{Node: name, Boot: boot, Bind: addr, Peers: peers, Key: testKey}
}

// start runs a node on w until the test, or stop, ends it.
func start(t *testing.T, w *wires, cfg Config) *testNode {
	t.Helper()
	if cfg.Listen == nil && w != nil { // else: real sockets
		cfg.Listen, cfg.Dial = w.listen(cfg.Bind), w.dial(cfg.Bind)
	}
	log := &logBuffer{}
	p, err := New(cfg, hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Trace}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	n := &testNode{Streams: p, log: log}
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// pair starts two nodes that have each other as peers.
func pair(t *testing.T, w *wires) (a, b *testNode) {
	t.Helper()
	a = start(t, w, configOf("a", 1, addrA, addrB))
	b = start(t, w, configOf("b", 2, addrB, addrA))
	settle(2 * time.Second)
	up(t, a, "b")
	up(t, b, "a")
	return a, b
}

func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func up(t *testing.T, n *testNode, name string) {
	t.Helper()
	if s := n.States()[name]; !s.Up || !s.BrokeAt.IsZero() {
		t.Fatalf("stream to %s: %+v, want up and never broken\n%s", name, s, n.log)
	}
}

func poked(n *testNode) bool {
	select {
	case <-n.Changed():
		return true
	default:
		return false
	}
}

var errLocal = errors.New("a local error")

func (w *wires) setRefuse(v bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = v
}
