package proxy

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/limit"
)

const (
	// perSession is what a client takes of descriptors: its own connection, and one to a backend.
	perSession = 2
	// perPipe is what moving bytes by the kernel takes beside: the ends of a pipe, which it holds while it waits for more.
	perPipe = 2
	// reserve is how many descriptors are left to everything else at most: peers, admin, probes, files. With a low limit of open files it is a quarter.
	reserve = 1024
	// evictions is how many silent flows end at most for a new one: others may be quicker to take what they leave.
	evictions = 3
)

var (
	errMaxConns = errors.New("the listener has as many connections as it may have")
	errDenied   = errors.New("the listener is not for the client's network")
)

// descriptors is how many clients and backends may take together.
func descriptors() *limit.Budget {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		r.Cur = highest
	}
	n := int(min(r.Cur, 1<<30))
	return limit.NewBudget(n - min(reserve, n/4))
}

// limits returns what counts the clients of a listener; nil if each may use what it likes.
func (l *ListenerConfig) clients() *limit.Clients {
	return limit.NewClients(limit.Config{Conns: l.MaxConnsPerClient, Rate: float64(l.RateLimit), Burst: l.RateBurst})
}

// room finds out whether there is room for one more connection, and takes it; leave gives it back.
func (l *listener) room() error {
	if l.cfg.MaxConns > 0 && l.open.Load() >= int64(l.cfg.MaxConns) {
		return errMaxConns
	}
	return l.proxy.budget.Take(perSession)
}

func (l *listener) leave() { l.proxy.budget.Give(perSession) }

// welcome counts a client's connection, once it is known who the client is; farewell ends it. Proxies that speak for many clients
// are not counted.
func (l *listener) welcome(a netip.Addr) error {
	http := l.cfg.Protocol == HTTP // where each request has a client, and an answer
	switch {
	case !http && !l.cfg.admits(a):
		return errDenied
	case l.cfg.trusts(a):
		return nil
	}
	if !http {
		if err := l.clients.Allow(a, time.Now()); err != nil {
			return err
		}
	}
	return l.clients.Enter(a)
}

// allows counts a request of a client and reports whether it is within the rate.
func (l *listener) allows(client netip.Addr, now time.Time) bool {
	return l.cfg.trusts(client) || l.clients.Allow(client, now) == nil
}

func (l *listener) farewell(a netip.Addr) {
	if !l.cfg.trusts(a) {
		l.clients.Leave(a)
	}
}

// turnAway ends a connection that is one too many.
func (l *listener) turnAway(conn net.Conn, peer netip.AddrPort, err error) {
	resetConn(conn)
	l.refused.Add(1)
	if n, tell := l.refusals.now(); tell {
		l.log.Warn("connections refused", "addr", peer, "err", err, "times", n)
	}
}

// admitFlow is room and welcome for a flow of datagrams. Where descriptors are short, a silent flow makes room for it.
func (l *listener) admitFlow(a netip.Addr, evict func() bool) error {
	if err := l.welcome(a); err != nil {
		return err
	}
	err := l.proxy.budget.Take(1)
	for n := 0; err != nil && n < evictions && evict(); n++ {
		err = l.proxy.budget.Take(1)
	}
	if err != nil {
		l.farewell(a)
		return err
	}
	l.proxy.accepted.Add(1)
	l.accepted.Add(1)
	return nil
}

func (l *listener) flowLeft(a netip.Addr) {
	l.farewell(a)
	l.proxy.budget.Give(1)
}
