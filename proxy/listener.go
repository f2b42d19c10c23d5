package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/limit"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
	"github.com/tandem-lb/tandem/proxy/sni"
	"github.com/tandem-lb/tandem/proxy/udp"
)

const (
	// reopen is how long a listener that could not open waits before it tries again.
	reopen = time.Second
	// lookAgain is after how many attempts the holder of a taken port is looked up again, which
	// costs a walk through /proc.
	lookAgain = 30
)

// ListenerStatus describes one listener at one moment.
type ListenerStatus struct {
	Name     string
	Bind     netip.AddrPort
	Protocol Protocol
	Pool     string
	Open     bool
	Error    string // why it is not open; empty before the first attempt
	Accepted uint64 // connections since the start
	Active   int    // TCP sessions; HTTP requests in flight, as in Proxy.Active
	Sessions int    // connections now
	Refused  uint64 // connections that were one too many
	// Datagrams are counts of a udp listener, of which Accepted, Active and Sessions count flows.
	Datagrams udp.Stats
}

type listener struct {
	proxy *Proxy
	cfg   ListenerConfig
	pool  *pool.Pool   // nil if routes answer everything, or other names than those of passthrough are refused
	table *route.Table // nil without routes
	ways  []way        // of the routes, and the listener's own
	pages map[int]page // of errors, by status
	log   hclog.Logger
	tls   *termination          // nil: plain
	names sni.Names[*pool.Pool] // of passthrough

	visits visits
	relay  *udp.Relay // of a udp listener, else nil
	// headerless are refused connections from proxies that should send a PROXY header.
	headerless sampled
	refusals   sampled
	refused    atomic.Uint64
	clients    *limit.Clients

	sessions sessions
	accepted atomic.Uint64
	active   atomic.Int64
	open     atomic.Int64 // connections

	mu  sync.Mutex // guards what follows
	up  bool
	err string
}

func newListener(p *Proxy, cfg ListenerConfig, table *route.Table, ways []way) *listener {
	l := &listener{proxy: p, cfg: cfg, pool: ways[len(ways)-1].pool, table: table, ways: ways, log: p.log.With("listener", cfg.Name)}
	l.readPages()
	l.look()
	if cfg.TLS != nil {
		l.tls = newTermination(cfg, p.key, l.log)
	}
	l.clients = cfg.clients()
	if cfg.Protocol == UDP {
		l.relay = l.newRelay()
	}
	return l
}

func (l *listener) snapshot() ListenerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := ListenerStatus{
		Name: l.cfg.Name, Bind: l.cfg.Bind, Protocol: l.cfg.Protocol, Pool: l.cfg.Pool,
		Open: l.up, Error: l.err,
		Accepted: l.accepted.Load(), Active: int(l.active.Load()), Sessions: int(l.open.Load()),
		Refused: l.refused.Load(),
	}
	if l.relay != nil {
		s.Datagrams = l.relay.Stats()
		s.Active, s.Sessions, s.Refused = s.Datagrams.Flows, s.Datagrams.Flows, s.Datagrams.Refused
	}
	return s
}

// run keeps the listener open until ctx is done. s and err are what the first attempt to open it gave.
func (l *listener) run(ctx context.Context, s io.Closer, err error) {
	for attempt := 0; ; attempt++ {
		if err == nil && l.tls != nil {
			if err = l.tls.load(time.Now()); err != nil {
				_ = s.Close()
			}
		}
		if err == nil {
			l.set(true, "")
			l.log.Info("listening", "addr", l.cfg.Bind)
			attempt = 0
			err = l.serve(ctx, s)
			l.set(false, "")
		}
		if ctx.Err() != nil {
			return
		}
		l.failed(err, attempt)
		select {
		case <-ctx.Done():
			return
		case <-time.After(reopen):
		}
		s, err = l.reopen(ctx)
	}
}

// reopen opens the listener again, once it is known that its files and the address can be had.
func (l *listener) reopen(ctx context.Context) (io.Closer, error) {
	if l.tls != nil {
		if err := l.tls.load(time.Now()); err != nil {
			return nil, err
		}
	}
	if l.proxy.listen == nil {
		probe, err := open(ctx, l.cfg)
		if err != nil {
			return nil, err
		}
		_ = probe.Close()
	}
	sockets, errs := l.proxy.openThese(ctx, l.cfg)
	return sockets[0], errs[0]
}

// failed tells why the listener is not open, when that is news.
func (l *listener) failed(err error, attempt int) {
	reason := err.Error()
	if errors.Is(err, unix.EACCES) && l.cfg.Bind.Port() < 1024 {
		reason += ": needs CAP_NET_BIND_SERVICE for ports below 1024"
	}
	if errors.Is(err, unix.EADDRINUSE) {
		l.mu.Lock()
		known := l.err
		l.mu.Unlock()
		if known != "" && attempt%lookAgain != 0 {
			return
		}
		if holder := portHolder(l.cfg.Protocol, l.cfg.Bind); holder != "" {
			reason += ": " + holder + " has it"
		}
	}
	if l.set(false, reason) {
		l.log.Error("listener could not open", "addr", l.cfg.Bind, "err", reason)
	}
}

// set records whether the listener is open and reports whether that is news.
func (l *listener) set(up bool, reason string) bool {
	l.mu.Lock()
	news := l.up != up || l.err != reason
	l.up, l.err = up, reason
	l.mu.Unlock()
	if news {
		l.proxy.poke()
	}
	return news
}

// serve accepts until ctx is done or the socket is broken.
func (l *listener) serve(ctx context.Context, socket io.Closer) error {
	if s, ok := socket.(*udp.Socket); ok {
		return l.relay.Run(ctx, s)
	}
	s := socket.(net.Listener)
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	defer s.Close()
	var backOff time.Duration
	for {
		conn, err := s.Accept()
		switch {
		case err == nil:
			if backOff > 0 {
				backOff = 0
				l.log.Info("accepting again")
			}
			if peer := peerOf(conn); !l.visits.is(conn, peer) {
				l.admit(conn, peer)
			}
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Nearly always no descriptors or no memory. The clients wait in the backlog.
			if backOff == 0 {
				l.log.Warn("accepting failed, clients wait", "err", err)
			}
			backOff = min(max(2*backOff, 5*time.Millisecond), 500*time.Millisecond)
			select {
			case <-ctx.Done():
			case <-time.After(backOff):
			}
		}
	}
}

func peerOf(c net.Conn) netip.AddrPort { return unmapped(c.RemoteAddr()) }

func localOf(c net.Conn) netip.AddrPort { return unmapped(c.LocalAddr()) }

func unmapped(addr net.Addr) netip.AddrPort {
	a, _ := addr.(*net.TCPAddr)
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// admit starts the session of a client.
func (l *listener) admit(conn net.Conn, peer netip.AddrPort) {
	if err := l.room(); err != nil {
		l.turnAway(conn, peer, err)
		return
	}
	l.proxy.accepted.Add(1)
	l.accepted.Add(1)
	l.open.Add(1)
	l.busy(1)
	if l.cfg.ProxyProtocol && l.cfg.trusts(peer.Addr()) {
		a := &arrival{listener: l, conn: conn, peer: peer}
		l.sessions.run(a, func() { defer l.leave(); a.serve() })
		return
	}
	if err := l.welcome(peer.Addr()); err != nil {
		l.open.Add(-1)
		l.busy(-1)
		l.leave()
		l.turnAway(conn, peer, err)
		return
	}
	s, serve := l.session(conn, peer, localOf(conn))
	l.sessions.run(s, func() {
		defer l.leave()
		defer l.farewell(peer.Addr())
		serve()
	})
}

// session returns the session of a client that has connected to an address of ours, and its goroutine.
func (l *listener) session(conn net.Conn, peer, local netip.AddrPort) (session, func()) {
	if l.tls != nil {
		conn = serverConn(conn, l.tls.config.Load())
	}
	if l.cfg.Protocol == HTTP {
		c := newClient(l, conn, peer)
		c.local = local
		return c, c.serve
	}
	t := newTunnel(l, conn, peer)
	t.local = local
	return t, t.serve
}

// logs reports whether the access log is told of what happens here.
func (l *listener) logs() bool { return l.proxy.access != nil && !l.cfg.NoAccessLog }

// busy counts what clients wait for.
func (l *listener) busy(n int64) {
	l.proxy.active.Add(n)
	l.active.Add(n)
}
