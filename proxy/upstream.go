package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/mux"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

const (
	// maxIdle bounds the idle connections to one backend; more are closed when they come back.
	maxIdle = 512
	// keepIdle is how long an unused connection to a backend is kept. Common backends close theirs
	// after 5 to 75 s; the check before reuse covers those that are quicker.
	keepIdle = 15 * time.Second
	// tidyEvery is how often idle connections are looked through.
	tidyEvery = time.Second
	// maxTries bounds the backends tried for one connection or request.
	maxTries = 8
)

// upstream is what the proxy keeps for one backend: its idle connections.
type upstream struct {
	proxy   *Proxy
	backend *pool.Backend
	origin  proxyheader.Version
	limit   time.Duration // of connecting, with TLS's handshake
	tls     *outward      // nil: plain
	leaving atomic.Bool   // nothing is kept for later
	mux     *mux.Set      // nil: HTTP/1.1
	// distrusted: the last handshake failed.
	distrusted atomic.Bool
	dialTo     func(ctx context.Context, to netip.AddrPort, limit time.Duration) (net.Conn, error)
	was        netip.AddrPort // where it was when tidy looked last

	mu   sync.Mutex // guards idle
	idle []*backendConn
}

func newUpstream(p *Proxy, backends *pool.Pool, b *pool.Backend, dial func(context.Context, netip.AddrPort) (net.Conn, error)) *upstream {
	u := &upstream{
		proxy: p, backend: b, was: b.Address(), origin: backends.ProxyProtocol(), limit: backends.ConnectTimeout(),
		dialTo: dialTCP,
	}
	if dial != nil {
		u.dialTo = func(ctx context.Context, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return dial(ctx, to)
		}
	}
	return u
}

func dialTCP(ctx context.Context, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
	// Every use of a connection has its own time limit, so keep-alive by the kernel is left to tunnels.
	d := net.Dialer{Timeout: limit, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", to.String())
}

// patience is how long an attempt to connect may take: while others are there to turn to, a part of what a last one may. A
// backend that is there accepts within a round trip, and a lost SYN is sent again after a second at the earliest.
func (u *upstream) patience(last bool) time.Duration {
	if last {
		return u.limit
	}
	return u.limit / 4
}

// dial opens a new connection for a client that has connected to at. last says that there is no other backend to turn to.
func (u *upstream) dial(client, at netip.AddrPort, last bool) (net.Conn, error) {
	until := time.Now().Add(u.limit)
	to := u.backend.Address()
	if !to.IsValid() {
		return nil, errNoAddress
	}
	c, err := u.dialTo(u.proxy.dialing, to, u.patience(last))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if u.origin != proxyheader.None {
		// So little never waits on a new connection.
		if _, err := c.Write(proxyheader.Append(nil, u.origin, client, at)); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("send the PROXY header: %w", err)
		}
	}
	if u.tls != nil {
		return u.tls.open(c, u, until)
	}
	return c, nil
}

// errNoAddress says that the backend's name has lost its address since it was picked.
var errNoAddress = errors.New("connect: the backend has no address")

// backendConn is a connection over which a backend is asked one thing after the other.
type backendConn struct {
	stream
	upstream *upstream
	since    time.Time // idle since
	to       netip.AddrPort
	asked    bool // it has served a request before
	down     atomic.Bool
}

// Reset ends the connection because the backend went down.
func (b *backendConn) Reset() {
	b.down.Store(true)
	b.reset()
}

// fresh opens a new connection to ask over.
func (u *upstream) fresh(stall time.Duration, client, at netip.AddrPort, last bool) (*backendConn, error) {
	if u.mux != nil {
		return u.muxed(stall, client, at, last)
	}
	to := u.backend.Address()
	c, err := u.dial(client, at, last)
	if err != nil {
		return nil, err
	}
	setUserTimeout(c, stall)
	b := &backendConn{upstream: u, to: to}
	b.init(c, &u.proxy.buffers)
	if !u.backend.Attach(b) {
		_ = c.Close()
		return nil, errWentDown
	}
	return b, nil
}

// get returns an idle connection that is still good, or nil.
func (u *upstream) get() *backendConn {
	for {
		u.mu.Lock()
		n := len(u.idle)
		if n == 0 {
			u.mu.Unlock()
			return nil
		}
		b := u.idle[n-1]
		u.idle[n-1] = nil
		u.idle = u.idle[:n-1]
		u.mu.Unlock()
		u.proxy.budget.Give(1)
		// Closed, or with an answer to a question that nobody asked: both must not meet the next request. Nor must where the backend was before.
		if b.to == u.backend.Address() && b.quiet() {
			return b
		}
		b.close()
	}
}

// put keeps b for the next request, unless b is a stream, which is for one.
func (u *upstream) put(b *backendConn, now time.Time) {
	b.asked, b.since = true, now
	b.release()
	u.mu.Lock()
	// A connection that began with a PROXY header belongs to that client.
	full := u.mux != nil || len(u.idle) >= maxIdle || u.leaving.Load() || u.proxy.draining.Load() || u.origin != proxyheader.None ||
		u.proxy.budget.Take(1) != nil
	if !full {
		u.idle = append(u.idle, b)
	}
	u.mu.Unlock()
	if full {
		b.close()
	}
}

// close ends the connection and forgets it.
func (b *backendConn) close() {
	b.upstream.backend.Detach(b)
	_ = b.Close()
	b.drop()
}

// tidy closes the idle connections that are old or dead; all if now is zero.
func (u *upstream) tidy(now time.Time) {
	var gone []*backendConn
	u.mu.Lock()
	keep := u.idle[:0]
	for _, b := range u.idle {
		if now.IsZero() || now.Sub(b.since) >= keepIdle || b.to != u.backend.Address() || !b.quiet() {
			gone = append(gone, b)
			continue
		}
		keep = append(keep, b)
	}
	clear(u.idle[len(keep):])
	u.idle = keep
	u.mu.Unlock()
	u.proxy.budget.Give(len(gone))
	for _, b := range gone {
		b.close()
	}
}

// tidy looks through the idle connections, and after the files that switch routes, until ctx is done; then it closes all connections.
func (p *Proxy) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, u := range *p.upstreams.Load() {
				u.tidy(now)
				if u.mux != nil {
					if at := u.backend.Address(); at != u.was {
						u.was = at
						u.mux.Leave()
					}
					u.mux.Look(now)
				}
			}
			for _, l := range p.listeners() {
				l.look()
			}
			p.partings.look(now)
		case <-ctx.Done():
			for _, u := range *p.upstreams.Load() {
				u.close()
			}
			p.partings.end()
			return
		}
	}
}

// setUserTimeout has the kernel end a connection whose other side takes nothing for that long. It
// replaces write deadlines, which lose bytes when splicing and cost a timer for every write.
func setUserTimeout(c net.Conn, d time.Duration) {
	t, ok := plain(c).(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_USER_TIMEOUT, milliseconds(d))
	})
}

// stall is how long a client may take nothing of what is sent to it.
func stall(cfg ListenerConfig) int {
	if cfg.Protocol == HTTP {
		return milliseconds(cfg.BodyTimeout)
	}
	return milliseconds(cfg.IdleTimeout)
}

// milliseconds is d as the kernel takes it: an unsigned number of which some paths use 31 bits.
func milliseconds(d time.Duration) int { return int(min(d, 24*24*time.Hour) / time.Millisecond) }
