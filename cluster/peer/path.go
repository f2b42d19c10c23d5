package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// way is a pair of addresses by which a peer can be reached.
type way struct{ from, to netip.AddrPort }

// waysTo are the ways to the i-th peer, that of Bind first.
func (p *Streams) waysTo(i int) []way {
	ways := []way{{p.cfg.Bind, p.cfg.Peers[i]}}
	for _, w := range p.cfg.Paths {
		if i < len(w.Peers) && w.Peers[i].IsValid() {
			ways = append(ways, way{w.Bind, w.Peers[i]})
		}
	}
	return ways
}

// listen opens a listener on each path.
func (p *Streams) listen(ctx context.Context) ([]net.Listener, error) {
	if p.cfg.Listen != nil {
		l, err := p.cfg.Listen(ctx)
		if err != nil {
			return nil, fmt.Errorf("listen for peer streams on %s (tcp): %w", p.cfg.Bind, err)
		}
		return []net.Listener{l}, nil
	}
	binds := []netip.AddrPort{p.cfg.Bind}
	for _, w := range p.cfg.Paths {
		binds = append(binds, w.Bind)
	}
	var open []net.Listener
	for _, b := range binds {
		l, err := listenTCP(ctx, b)
		if err != nil {
			closeAll(open)
			return nil, fmt.Errorf("listen for peer streams on %s (tcp): %w", b, err)
		}
		open = append(open, l)
	}
	return open, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}

// dial makes a connection by a way.
func (p *Streams) dial(ctx context.Context, w way) (net.Conn, error) {
	if p.cfg.Dial != nil {
		return p.cfg.Dial(ctx, w.to)
	}
	return dialTCP(ctx, w)
}
