package proxy

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/limit"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
	"github.com/tandem-lb/tandem/proxy/sni"
	"github.com/tandem-lb/tandem/proxy/udp"
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

// listener is one of the configuration: what is done with clients. A reload puts another one in its place, at the same door; who has begun by
// the old one ends by it.
type listener struct {
	*door
	*tally
	proxy   *Proxy
	cfg     ListenerConfig
	pool    *pool.Pool   // nil if routes answer everything, or other names than those of passthrough are refused
	table   *route.Table // nil without routes
	ways    []way        // of the routes, and the listener's own
	pages   map[int]page // of errors, by status
	log     hclog.Logger
	tls     *termination          // nil: plain
	names   sni.Names[*pool.Pool] // of passthrough
	clients *limit.Clients
}

// tally counts, as long as there is a listener of the name.
type tally struct {
	// headerless are refused connections from proxies that should send a PROXY header.
	headerless sampled
	refusals   sampled
	abuses     sampled // by clients of HTTP/2
	refused    atomic.Uint64
	accepted   atomic.Uint64
	active     atomic.Int64
	open       atomic.Int64 // connections
}

func newListener(p *Proxy, cfg ListenerConfig, table *route.Table, ways []way) *listener {
	l := &listener{
		tally: &tally{}, proxy: p, cfg: cfg, pool: ways[len(ways)-1].pool, table: table, ways: ways, log: p.log.With("listener", cfg.Name),
		clients: cfg.clients(),
	}
	if cfg.TLS != nil {
		l.tls = newTermination(cfg, p.key, l.log)
	}
	return l
}

// furnish reads the files that answers are made of, which are done without if need be.
func (l *listener) furnish() {
	l.readPages()
	l.look()
}

func (l *listener) snapshot() ListenerStatus {
	up, reason := l.state()
	s := ListenerStatus{
		Name: l.cfg.Name, Bind: l.cfg.Bind, Protocol: l.cfg.Protocol, Pool: l.cfg.Pool,
		Open: up, Error: reason,
		Accepted: l.accepted.Load(), Active: int(l.active.Load()), Sessions: int(l.open.Load()),
		Refused: l.refused.Load(),
	}
	if l.relay != nil {
		s.Datagrams = l.relay.Stats()
		s.Active, s.Sessions, s.Refused = s.Datagrams.Flows, s.Datagrams.Flows, s.Datagrams.Refused
	}
	return s
}

// failed tells why the listener is not open, when that is news.
func (l *listener) failed(err error, attempt int) {
	reason := err.Error()
	if errors.Is(err, unix.EACCES) && l.cfg.Bind.Port() < 1024 {
		reason += ": needs CAP_NET_BIND_SERVICE for ports below 1024"
	}
	if errors.Is(err, unix.EADDRINUSE) {
		if _, known := l.state(); known != "" && attempt%lookAgain != 0 {
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
func (l *listener) logs() bool { return l.proxy.access.Load() != nil && !l.cfg.NoAccessLog }

func (l *listener) tell(r *accesslog.Record) {
	if a := l.proxy.access.Load(); a != nil {
		a.Add(r)
	}
}

// draining reports whether http connections end when they have nothing in hand.
func (l *listener) draining() bool { return l.proxy.draining.Load() || l.leaving.Load() }

// ending reports whether http connections end with their next answer.
func (l *listener) ending() bool { return l.draining() || l.proxy.closing.Load() }

// busy counts what clients wait for.
func (l *listener) busy(n int64) {
	l.proxy.active.Add(n)
	l.active.Add(n)
}
