package viptest

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
)

// delay is how long a frame is on its way.
const delay = 100 * time.Microsecond

// port is the keeper's hold on the wire.
type port struct {
	h      *Host
	line   *line
	frames chan []byte
}

// Listen implements vip.System.
func (h *Host) Listen(index int, _ bool) (vip.Port, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.at(index)
	if l == nil {
		return nil, errors.New("no such device")
	}
	if h.noPort != nil {
		return nil, h.noPort
	}
	l.port = &port{h: h, line: l, frames: make(chan []byte, 256)} // a socket's buffer: what is more is dropped
	return l.port, nil
}

// SetNoPort makes the packet sockets fail to open, for a reason, or, with nil, open again.
func (h *Host) SetNoPort(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noPort = why
}

// SetNeighbour puts a host on the wire that answers for an address; the zero Neighbour takes it away.
func (h *Host) SetNeighbour(a netip.Addr, n Neighbour) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.neighbours[a] = n
	if n == (Neighbour{}) {
		delete(h.neighbours, a)
	}
}

// SetKnock sets what a knock at any listener comes to.
func (h *Host) SetKnock(a announce.Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.knocks = a
}

// Deliver lets a frame come in on the first link.
func (h *Host) Deliver(frame []byte) { h.DeliverOn(h.first(), frame) }

// DeliverOn lets a frame come in on a link.
func (h *Host) DeliverOn(name string, frame []byte) {
	h.mu.Lock()
	l := h.line(name)
	p, up := l.port, l.fact.Carrier && l.fact.Up
	h.mu.Unlock()
	if p == nil || !up {
		return
	}
	select {
	case p.frames <- frame:
	default:
	}
}

// Sent returns the frames that went out since it was last called.
func (h *Host) Sent() [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	sent := h.sent
	h.sent = nil
	return sent
}

func (p *port) Send(frame []byte) error {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if !p.line.fact.Carrier || !p.line.fact.Up {
		return nil // it vanishes
	}
	h.sent = append(h.sent, slices.Clone(frame))
	if len(frame) < 14 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_ARP {
		return nil
	}
	var q arp.Packet
	if q.UnmarshalBinary(frame[14:]) != nil || q.Operation != arp.OperationRequest || q.SenderIP == q.TargetIP {
		return nil
	}
	n, ok := h.neighbours[q.TargetIP]
	dst, src := announce.MAC(frame[:6]), announce.MAC(frame[6:12])
	if !ok || dst != n.MAC && dst != announce.Broadcast() || n.Shadow && dst != announce.Broadcast() {
		return nil
	}
	answer := announce.Tell(n.MAC, q.TargetIP, src, q.SenderIP)
	time.AfterFunc(delay, func() { h.DeliverOn(p.line.name, answer) })
	return nil
}

func (p *port) Receive(ctx context.Context, each func([]byte)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-p.frames:
			each(f)
		}
	}
}

func (p *port) Knock(ctx context.Context, _, _ announce.MAC, _ netip.Addr, _ netip.AddrPort) (announce.Answer, error) {
	p.h.mu.Lock()
	a := p.h.knocks
	p.h.mu.Unlock()
	if a == announce.NoAnswer {
		<-ctx.Done()
	}
	return a, nil
}

func (p *port) Rest() {}

func (p *port) Close() error { return nil }
