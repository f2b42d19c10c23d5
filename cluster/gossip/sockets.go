package gossip

import (
	"context"
	"errors"
	stdlog "log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// sockets is memberlist's way to the network. Unlike memberlist's own it takes 1 KiB of memory for a packet and not 64, which kept the garbage collector
// of an idle node busy; its streams leave from Bind (so that the peer sees the address it knows, and never a VIP) and end when Run ends.
type sockets struct {
	local   netip.AddrPort
	log     *stdlog.Logger
	udp     *net.UDPConn
	tcp     *net.TCPListener
	door    *door
	packets chan *memberlist.Packet
	streams chan net.Conn
	readers sync.WaitGroup
	closed  chan struct{}   // by Shutdown
	ctx     context.Context // ends with HangUp
	stop    context.CancelFunc

	mu    sync.Mutex // guards conns
	conns map[*stream]struct{}
}

var _ memberlist.NodeAwareTransport = (*sockets)(nil)

// queue is the receive buffer of the packets' socket.
const queue = 1 << 20

// openSockets binds UDP and TCP. The error tells a missing address (EADDRNOTAVAIL) from a taken one (EADDRINUSE).
func openSockets(ctx context.Context, bind netip.AddrPort, peers []netip.AddrPort, log *stdlog.Logger) (*sockets, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(bind))
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	_ = udp.SetReadBuffer(queue) // better to have than not to have
	s := &sockets{
		local: bind, log: log, door: newDoor(peers), udp: udp, tcp: tcp,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closed: make(chan struct{}), conns: map[*stream]struct{}{},
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.readers.Go(s.receive)
	s.readers.Go(s.accept)
	return s, nil
}

// DialTimeout is DialAddressTimeout for an address without a name.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return s.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream.
func (s *sockets) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local.Addr(), 0))}
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

// Shutdown closes everything, and waits for its readers. It is called once.
func (s *sockets) Shutdown() error {
	s.HangUp()
	close(s.closed)
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.readers.Wait()
	return err
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
