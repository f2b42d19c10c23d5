package gossip

import (
	"context"
	"fmt"
	stdlog "log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// sockets is memberlist's own network transport, with streams that leave from Bind (so that the peer sees the address it
// knows, and never a VIP) and that end when Run ends.
type sockets struct {
	*memberlist.NetTransport
	local netip.Addr
	ctx   context.Context // ends with HangUp
	stop  context.CancelFunc

	mu    sync.Mutex // guards conns
	conns map[*stream]struct{}
}

var _ memberlist.NodeAwareTransport = (*sockets)(nil)

// openSockets binds UDP and TCP. The error tells a missing address (EADDRNOTAVAIL) from a taken one (EADDRINUSE).
func openSockets(ctx context.Context, bind netip.AddrPort, log *stdlog.Logger) (*sockets, error) {
	// memberlist returns bind errors as text only: try first.
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("close the trial listener on %s: %w", bind, err)
	}
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(bind))
	if err != nil {
		return nil, err
	}
	if err := u.Close(); err != nil {
		return nil, fmt.Errorf("close the trial socket on %s: %w", bind, err)
	}
	nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{bind.Addr().String()},
		BindPort:  int(bind.Port()),
		Logger:    log,
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", bind, err)
	}
	s := &sockets{NetTransport: nt, local: bind.Addr(), conns: map[*stream]struct{}{}}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// DialTimeout is DialAddressTimeout for an address without a name.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return s.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream.
func (s *sockets) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local, 0))}
	c, err := d.DialContext(s.ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	st := &stream{Conn: c, s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		_ = c.Close() // nothing was sent
		return nil, net.ErrClosed
	}
	s.conns[st] = struct{}{}
	return st, nil
}

// HangUp ends the outgoing streams and opens no more, so that nobody waits for a mute peer. Packets still go out.
func (s *sockets) HangUp() {
	s.stop()
	s.mu.Lock()
	open := s.conns
	s.conns = map[*stream]struct{}{}
	s.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // whoever uses it gets the error
	}
}

// Shutdown closes everything.
func (s *sockets) Shutdown() error {
	s.HangUp()
	return s.NetTransport.Shutdown()
}

// stream is an outgoing connection that its transport knows.
type stream struct {
	net.Conn
	s *sockets
}

// Close closes the connection.
func (c *stream) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	return c.Conn.Close()
}
