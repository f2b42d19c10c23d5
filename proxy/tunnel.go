package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// cutReason is why a session ended that was cut.
const cutReason = "drain ended"

var errWentDown = errors.New("backend went down")

// spliceAfter is how many full buffers in a row make a flow a bulk one; spliceChunk is how much is then
// spliced before it is looked at again. Small messages cost less when copied, bulk when spliced.
const (
	spliceAfter = 2
	spliceChunk = 4 << 20
)

// tunnel carries bytes both ways between a client and a backend.
type tunnel struct {
	listener *listener
	peer     netip.AddrPort
	local    netip.AddrPort // what the peer has connected to
	idle     time.Duration
	client   stream
	backend  stream
	up, down flow // towards the backend, towards the client

	// For the access log.
	to                *pool.Pool // nil before it is known
	queue, connecting time.Duration
	tries             int

	mu     sync.Mutex // guards what follows, and the arming of deadlines
	reason string     // why the tunnel ended; the first one counts
	half   bool       // one side has said that it sends no more
	ended  bool
}

// flow is one direction of a tunnel. Its goroutine owns it.
type flow struct {
	from, to *stream
	sender   string // for reasons
	moved    atomic.Uint64
	last     uint64 // bytes moved both ways when last looked at
	still    int    // looks in a row that saw no byte move
	limited  io.LimitedReader
}

func newTunnel(l *listener, conn net.Conn, peer netip.AddrPort) *tunnel {
	t := &tunnel{listener: l, peer: peer, idle: l.cfg.IdleTimeout}
	t.client.init(conn, &l.proxy.buffers)
	return t
}

// drain does nothing: what the bytes mean, and so when a good moment to end is, only the ends know.
func (t *tunnel) drain() {}

// cut ends the tunnel; both sides see a reset.
func (t *tunnel) cut() { t.end(cutReason, true) }

// Reset ends the tunnel because the backend went down.
func (t *tunnel) Reset() { t.end(errWentDown.Error(), true) }

// end closes both sides. TLS may take seconds for its last word: that is not waited for under mu, and a reset cuts it short.
func (t *tunnel) end(reason string, reset bool) {
	t.mu.Lock()
	if t.reason == "" {
		t.reason = reason
	}
	again := t.ended
	t.ended = true
	conns := [2]net.Conn{t.client.Conn, t.backend.Conn}
	t.mu.Unlock()
	if again && !reset {
		return
	}
	for _, c := range conns {
		switch {
		case c == nil:
		case reset:
			resetConn(c)
		default:
			_ = c.Close()
		}
	}
}

func (t *tunnel) why() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reason
}

// serve finds a backend for a client of a tcp listener and carries the bytes.
func (t *tunnel) serve() {
	l := t.listener
	defer l.open.Add(-1)
	defer l.busy(-1)
	began := time.Now()
	to, err := t.destination()
	var conn net.Conn
	var lease pool.Lease
	if err == nil {
		conn, lease, err = t.connect(to)
	}
	if err != nil {
		t.end(err.Error(), true)
		t.tell(began, nil)
		l.log.Debug("session refused", "addr", t.peer, "reason", err)
		return
	}
	backend := lease.Backend()
	defer lease.Done(nil)
	setUserTimeout(conn, l.cfg.IdleTimeout)
	if tcp, ok := plain(conn).(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	}
	t.carry(conn, backend)
	t.tell(began, backend)
	if l.log.IsDebug() {
		l.log.Debug("session ended", "addr", t.peer, "backend", backend.Name(), "reason", t.why(),
			"sent", t.up.moved.Load(), "received", t.down.moved.Load(), "took", time.Since(began))
	}
}

// connect picks a backend of a pool and connects to it, to another one if that fails.
func (t *tunnel) connect(to *pool.Pool) (net.Conn, pool.Lease, error) {
	l, wants := t.listener, pool.Request{Client: t.peer.Addr()}
	var tried [maxTries]*pool.Backend
	var last error
	t.to = to
	tries := triesOf(to)
	for n := range tries {
		began := time.Now()
		lease, err := l.proxy.pick(to, wants, t.gone, tried[:n])
		picked := time.Now()
		t.queue += picked.Sub(began)
		if err != nil {
			if last != nil {
				err = last
			}
			return nil, lease, err
		}
		t.tries++
		conn, err := l.proxy.upstream(to, lease.Backend()).dial(t.peer, t.local, n == tries-1 || !to.Spare(n))
		t.connecting += time.Since(picked)
		if err == nil {
			lease.Answered()
			lease.Well()
			return conn, lease, nil
		}
		lease.Done(unreached(err))
		tried[n], last = lease.Backend(), err
		if l.proxy.dialing.Err() != nil {
			break
		}
	}
	return nil, pool.Lease{}, last
}

// carry moves bytes until both sides have ended, or one has broken. Whatever the streams have pending goes first.
func (t *tunnel) carry(conn net.Conn, backend *pool.Backend) {
	t.mu.Lock()
	if t.backend.Conn == nil {
		t.backend.init(conn, t.client.buffers)
	}
	if t.ended { // cut while connecting
		t.backend.reset()
	}
	t.mu.Unlock()
	if !backend.Attach(t) {
		t.Reset()
	}
	defer backend.Detach(t)
	t.up.from, t.up.to, t.up.sender = &t.client, &t.backend, "client"
	t.down.from, t.down.to, t.down.sender = &t.backend, &t.client, "backend"
	var other sync.WaitGroup
	other.Go(func() { t.copy(&t.down) })
	t.copy(&t.up)
	other.Wait()
	t.end("", false)
	t.client.drop()
	t.backend.drop()
}

// copy moves bytes one way until they end, and passes the end on.
func (t *tunnel) copy(f *flow) {
	full, budget := 0, t.listener.proxy.budget
	f.last = t.moved()
	t.arm(f)
	for {
		var err error
		if full < spliceAfter || f.from.tcp == nil || f.to.tcp == nil || budget.Take(perPipe) != nil {
			full, err = t.step(f, full)
		} else {
			full, err = t.splice(f)
			budget.Give(perPipe)
		}
		switch {
		case err == nil:
		case errors.Is(err, errTimeout) && !t.silent(f):
			t.arm(f)
		case errors.Is(err, io.EOF):
			t.halfClose(f)
			return
		default:
			t.broken(f, err)
			return
		}
	}
}

// step copies what one read gives. It returns how many reads in a row have filled the buffer.
func (t *tunnel) step(f *flow, full int) (int, error) {
	if len(f.from.pending()) == 0 {
		if err := f.from.fill(); err != nil {
			return 0, err
		}
	}
	b := f.from.pending()
	if len(b) == bufferSize {
		full++
	} else {
		full = 0
	}
	n, err := f.to.Write(b)
	f.from.consume(n)
	f.from.release()
	f.moved.Add(uint64(n))
	if err != nil {
		return 0, &writeError{err}
	}
	return full, nil
}

// splice has the kernel move up to spliceChunk bytes.
func (t *tunnel) splice(f *flow) (int, error) {
	f.limited = io.LimitedReader{R: f.from.tcp, N: spliceChunk}
	n, err := f.to.tcp.ReadFrom(&f.limited)
	f.moved.Add(uint64(n))
	switch {
	case err != nil:
		return 0, readError(err)
	case n < spliceChunk:
		return 0, io.EOF
	}
	return spliceAfter, nil
}

// writeError is an error of the side that bytes went to.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// limit is how long the tunnel may be silent. The caller holds mu.
func (t *tunnel) limit() time.Duration {
	if t.half {
		return min(t.idle, t.listener.cfg.HalfCloseTimeout)
	}
	return t.idle
}

// looks is how often silence is looked for within the time that the tunnel may be silent, so it ends at most a quarter late.
const looks = 4

// arm makes f look for silence again after a part of the time that the tunnel may be silent.
func (t *tunnel) arm(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.from.by(time.Now().Add(t.limit() / looks))
}

// silent reports whether no byte has moved either way for too long.
func (t *tunnel) silent(f *flow) bool {
	moved := t.moved()
	if moved != f.last {
		f.last, f.still = moved, 0
		return false
	}
	f.still++
	return f.still >= looks
}

// moved is a number that changes when a byte moves either way. What one direction has in hand within a long
// splice, only the kernel knows.
func (t *tunnel) moved() uint64 {
	return t.up.moved.Load() + t.down.moved.Load() + kernelMoved(&t.client) + kernelMoved(&t.backend)
}

// halfClose passes on that f's sender sends no more. From then on the other direction has its own, shorter,
// limit of silence, or sessions would stay for ever when the other side has vanished.
func (t *tunnel) halfClose(f *flow) {
	t.mu.Lock()
	if t.reason == "" {
		t.reason = f.sender + " closed"
	}
	if t.ended || t.half {
		t.mu.Unlock()
		return
	}
	t.half = true
	f.to.by(time.Now().Add(t.limit() / looks))
	t.mu.Unlock()
	f.to.closeWrite() // by TLS this may take seconds
}

// broken ends the tunnel for an error in one direction.
func (t *tunnel) broken(f *flow, err error) {
	_, writing := errors.AsType[*writeError](err)
	receiver := "client"
	if f.sender == receiver {
		receiver = "backend"
	}
	switch {
	case errors.Is(err, errTimeout):
		t.end("idle", true)
	case writing:
		t.end(receiver+" broke off", true)
	default:
		t.end(f.sender+" broke off", true)
	}
}

// kernelMoved is what the kernel has sent and received on s, if it can be asked.
func kernelMoved(s *stream) uint64 {
	if s.raw == nil {
		return 0
	}
	var sum uint64
	_ = s.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err == nil {
			sum = info.Bytes_acked + info.Bytes_received
		}
	})
	return sum
}
