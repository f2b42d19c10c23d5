// Package gossiptest connects gossiping nodes in memory, so that tests and simulations run under fake time.
package gossiptest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Network carries packets and streams between its transports. All methods may be called at any time by any goroutine. Its
// zero value is ready. It works within a synctest bubble; nothing in it takes time but a dial that nobody answers.
type Network struct {
	mu      sync.Mutex // guards what follows
	hosts   map[netip.AddrPort]*Transport
	cuts    map[[2]netip.AddrPort]bool
	cutsUDP map[[2]netip.AddrPort]bool
	lose    func() bool
}

// Transport returns a new transport at addr; one that was there before hears nothing more.
func (n *Network) Transport(addr netip.AddrPort) *Transport {
	t := &Transport{
		net:     n,
		addr:    addr,
		packets: make(chan *memberlist.Packet, 256), // a socket's queue: what does not fit is lost
		streams: make(chan net.Conn),
		done:    make(chan struct{}),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.init()
	n.hosts[addr] = t
	return t
}

// Cut loses what from sends to to, silently, or lets it pass again. A stream needs both directions to open; open ones live on.
func (n *Network) Cut(from, to netip.AddrPort, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.init()
	n.cuts[[2]netip.AddrPort{from, to}] = cut
}

// CutPackets loses packets only; streams pass.
func (n *Network) CutPackets(from, to netip.AddrPort, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.init()
	n.cutsUDP[[2]netip.AddrPort{from, to}] = cut
}

// init makes the maps. The caller holds mu.
func (n *Network) init() {
	if n.hosts == nil {
		n.hosts = map[netip.AddrPort]*Transport{}
		n.cuts = map[[2]netip.AddrPort]bool{}
		n.cutsUDP = map[[2]netip.AddrPort]bool{}
	}
}

// Lose asks lose for each packet, and for each of the five that a short stream takes one way, whether it is lost; nil
// loses nothing. A stream that loses one does not open in time. lose is called under the network's lock.
func (n *Network) Lose(lose func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = lose
}

// lost reports whether one of so many packets is lost.
func (n *Network) lost(packets int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range packets {
		if n.lose != nil && n.lose() {
			return true
		}
	}
	return false
}

// Kill takes the host at addr off the network, as when its process dies: dials to it are refused.
func (n *Network) Kill(addr netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.hosts, addr)
}

// lane is what lies between two hosts: who is there, and what is lost on the way there and back.
type lane struct {
	dest            *Transport
	cut, back, mute bool
}

func (n *Network) route(from *Transport, to string) lane {
	ap, err := netip.ParseAddrPort(to)
	if err != nil {
		return lane{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[from.addr] != from { // killed, or another process has taken its place
		return lane{cut: true, back: true}
	}
	there, back := [2]netip.AddrPort{from.addr, ap}, [2]netip.AddrPort{ap, from.addr}
	return lane{n.hosts[ap], n.cuts[there], n.cuts[back], n.cutsUDP[there]}
}

// Transport is one node's access to the network.
type Transport struct {
	net     *Network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	once    sync.Once
	done    chan struct{} // closed by Shutdown
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// FinalAdvertiseAddr returns the transport's address, whatever was configured.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IP(t.addr.Addr().AsSlice()), int(t.addr.Port()), nil
}

// WriteTo sends a packet.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	l := t.net.route(t, addr)
	now := time.Now()
	if l.dest == nil || l.cut || l.mute || t.net.lost(1) {
		return now, nil
	}
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(t.addr), Timestamp: now}
	select {
	case l.dest.packets <- p:
	default:
	}
	return now, nil
}

// WriteToAddress sends a packet.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh returns what came in.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh returns who called.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout opens a stream.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	l := t.net.route(t, addr)
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	if l.cut || l.back || l.dest != nil && t.net.lost(5) {
		select {
		case <-time.After(timeout):
		case <-t.done:
		}
		return nil, fail(os.ErrDeadlineExceeded)
	}
	if l.dest == nil {
		return nil, fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	here, there := net.Pipe()
	local := &net.TCPAddr{IP: t.addr.Addr().AsSlice(), Port: 49152}
	remote := net.TCPAddrFromAddrPort(l.dest.addr)
	select {
	case l.dest.streams <- &conn{there, remote, local}:
		return &conn{here, local, remote}, nil
	case <-l.dest.done:
	case <-time.After(timeout):
	}
	return nil, fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
}

// DialAddressTimeout opens a stream.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// IngestPacket is not supported.
func (t *Transport) IngestPacket(net.Conn, net.Addr, time.Time, bool) error {
	return errors.ErrUnsupported
}

// IngestStream is not supported.
func (t *Transport) IngestStream(net.Conn) error { return errors.ErrUnsupported }

// Shutdown takes the transport off the network.
func (t *Transport) Shutdown() error {
	t.once.Do(func() { close(t.done) })
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	if t.net.hosts[t.addr] == t {
		delete(t.net.hosts, t.addr)
	}
	return nil
}

// conn is one end of a pipe that looks like TCP.
type conn struct {
	net.Conn
	local, remote net.Addr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Write writes b; a pipe that the other side has closed resets, as TCP does.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)}
	}
	return n, err
}
