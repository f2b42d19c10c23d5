package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// The part of sockets that memberlist receives by.

// readRetry is the pause after an error of a socket, which is one of the host: no descriptors, no memory.
const readRetry = 50 * time.Millisecond

// PacketCh is in memberlist.Transport.
func (s *sockets) PacketCh() <-chan *memberlist.Packet { return s.packets }

// StreamCh is in memberlist.Transport.
func (s *sockets) StreamCh() <-chan net.Conn { return s.streams }

// FinalAdvertiseAddr is in memberlist.Transport.
func (s *sockets) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return s.local.Addr().AsSlice(), int(s.local.Port()), nil
}

// WriteTo is WriteToAddress for an address without a name.
func (s *sockets) WriteTo(b []byte, addr string) (time.Time, error) {
	return s.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet.
func (s *sockets) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("send gossip: %w", err)
	}
	_, err = s.udp.WriteToUDPAddrPort(b, to)
	return time.Now(), err
}

// receive hands packets to memberlist until Shutdown.
func (s *sockets) receive() {
	buf := make([]byte, 1<<16) // whatever UDP can carry
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		at := time.Now()
		switch {
		case s.paused("receive gossip", err):
		case err != nil:
			return
		case n == 0: // not memberlist's: it would be told as an error
		default:
			p := &memberlist.Packet{Buf: bytes.Clone(buf[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: at}
			select {
			case s.packets <- p:
			case <-s.closed:
				return
			}
		}
	}
}

// accept hands streams to memberlist until Shutdown.
func (s *sockets) accept() {
	for {
		c, err := s.tcp.AcceptTCP()
		switch {
		case s.paused("accept a gossip stream", err):
		case err != nil:
			return
		default:
			in := s.door.admit(c)
			if in == nil {
				_ = c.Close() // nothing was read
				continue
			}
			select {
			case s.streams <- in:
			case <-s.closed:
				_ = in.Close() // nothing was sent
				return
			}
		}
	}
}

// paused tells an error after which it makes sense to go on, and waits a moment.
func (s *sockets) paused(what string, err error) bool {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	s.log.Printf("[ERR] %s: %v", what, err)
	select {
	case <-time.After(readRetry):
	case <-s.closed:
	}
	return true
}
