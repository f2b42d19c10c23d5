package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	// shakeTime bounds a handshake: far more than a round trip, and what a silent stranger costs.
	shakeTime = time.Second
	dialTime  = time.Second
	// maxStrangers is how many connections from unknown addresses may be in their handshake.
	maxStrangers = 8
	redialAfter  = 200 * time.Millisecond
	redialWithin = 500 * time.Millisecond
	// patience is how long a peer may be without a stream before that is told: its host may be booting.
	patience = 10 * time.Second
)

// acceptLoop serves whoever connects, until the listener is closed.
func (p *Streams) acceptLoop(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			if p.mayTell("accept", "") {
				p.log.Warn("peer streams cannot be accepted, will try again", "err", err)
			}
			sleep(ctx, time.Second)
			continue
		}
		slots := p.strange
		if p.isPeer(conn.RemoteAddr()) {
			slots = p.known
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close() // too many handshakes at once
			continue
		}
		p.wg.Go(func() { p.serve(ctx, conn, netip.AddrPort{}, func() { <-slots }) })
	}
}

// isPeer reports whether a configured peer has this address.
func (p *Streams) isPeer(a net.Addr) bool {
	if a == nil {
		return false
	}
	from, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	for i := range p.cfg.Peers {
		for _, w := range p.waysTo(i) {
			if w.to.Addr().Unmap() == from.Addr().Unmap() {
				return true
			}
		}
	}
	return false
}

// dialLoop keeps trying for a stream to the peer at addr while there is none, by each of the ways in turn.
func (p *Streams) dialLoop(ctx context.Context, addr netip.AddrPort, ways []way) {
	down, told := time.Now(), false
	for n := 0; ctx.Err() == nil; n++ {
		if s := p.at(addr); s != nil {
			select {
			case <-s.done:
			case <-ctx.Done():
				return
			}
			down, told = time.Now(), false
		} else {
			dctx, cancel := context.WithTimeout(ctx, dialTime)
			conn, err := p.dial(dctx, ways[n%len(ways)])
			cancel()
			switch {
			case err == nil:
				p.serve(ctx, conn, addr, func() {})
				down, told = p.sinceAt(addr, down), told && p.sinceAt(addr, down).Equal(down)
			case time.Since(p.sinceAt(addr, down)) > patience && !told && !p.leftAt(addr) && ctx.Err() == nil:
				told = true
				p.log.Warn("no stream to a peer: its crash would be noticed by its silence only; still dialing", "addr", addr, "err", err)
			}
		}
		sleep(ctx, redialAfter+rand.N(redialWithin-redialAfter))
	}
}

// sinceAt is since when the node that answered at addr has had no stream; down if that is later.
func (p *Streams) sinceAt(addr netip.AddrPort, down time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.nodes[p.names[addr]]; n != nil && n.state.Since.After(down) {
		return n.state.Since
	}
	return down
}

// leftAt reports whether the node that answered at addr said bye and has not come back.
func (p *Streams) leftAt(addr netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[p.names[addr]]
	return n != nil && !n.state.Up && !n.state.ByeAt.IsZero()
}

// at is the present stream to the node that answered at addr.
func (p *Streams) at(addr netip.AddrPort) *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.nodes[p.names[addr]]; n != nil {
		return n.cur
	}
	return nil
}

// serve owns a connection from the handshake to its end. dialed is the address that this node dialed, if it did; shaken is called once, when the handshake is over.
func (p *Streams) serve(ctx context.Context, conn net.Conn, dialed netip.AddrPort, shaken func()) {
	s, loser, err := p.greet(ctx, conn, dialed)
	shaken()
	if err != nil {
		_ = conn.Close()
		if ctx.Err() == nil {
			p.tellRefusal(conn, dialed, s, err)
		}
		return
	}
	if loser != nil {
		loser.giveUp(ctx)
	}
	if loser != s && p.mayTellUp(s.name) {
		p.log.Info("stream up", "peer", s.name, "addr", conn.RemoteAddr())
	}
	p.wg.Go(func() { p.keepAlive(ctx, s) })
	err = p.readLoop(ctx, s)
	p.leave(s, err, ctx.Err() != nil)
	if !gone(err) {
		s.giveUp(ctx) // so that the other side does not take the end for a crash; or the answer to its own giving up
	}
	close(s.done)
	_ = conn.Close()
}

// greet runs the handshake, in bounded time, and joins the stream. With an error, the stream has at most a name.
func (p *Streams) greet(ctx context.Context, conn net.Conn, dialed netip.AddrPort) (s, loser *stream, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(shakeTime)); err != nil {
		return &stream{}, nil, err
	}
	shake := p.id.shakeAsListener
	if dialed.IsValid() {
		shake = p.id.shakeAsDialer
	}
	ses, err := shake(conn)
	if err != nil {
		return &stream{name: ses.name}, nil, err
	}
	s = newStream(conn, ses, dialed.IsValid(), 3*p.cfg.Keepalive)
	if err := p.welcome(ctx, s); err != nil {
		s.giveUp(ctx)
		return s, nil, err
	}
	if dialed.IsValid() {
		p.mu.Lock()
		p.names[dialed] = s.name
		p.mu.Unlock()
	}
	if loser, err = p.join(s); err != nil {
		s.giveUp(ctx)
		return s, nil, err
	}
	if !stop() { // ctx is done, and the connection closed
		return s, nil, ctx.Err()
	}
	return s, loser, nil
}

// welcome is the first frame, from the listener to the dialer, who does not believe in the stream before: it could not tell a refusal from a crash.
func (p *Streams) welcome(ctx context.Context, s *stream) error {
	if !s.dialed {
		return s.write(ctx, Message{Kind: Ping})
	}
	m, err := s.f.read(s.r)
	if err == nil && m.Kind != Ping {
		return errFrame
	}
	return err
}

// readLoop delivers messages until the stream ends, and returns why it did.
func (p *Streams) readLoop(ctx context.Context, s *stream) error {
	for {
		m, err := s.read()
		if err != nil {
			if errors.Is(err, errFrame) {
				p.tellFrame(s)
			}
			return err
		}
		switch m.Kind {
		case drop:
			return errDropped
		case Ping:
		case Bye:
			p.bye(s)
			p.deliver(ctx, m)
		case Take, Ready, Go, Cancel, Word, Answer:
			p.deliver(ctx, m)
		case Share, Shared:
			if p.cfg.Share != nil {
				p.cfg.Share(m)
			}
		default: // of a later version
		}
	}
}

var errDropped = errors.New("the other side gave the stream up")

func (p *Streams) deliver(ctx context.Context, m Message) {
	select {
	case p.inbox <- m:
	case <-ctx.Done():
	}
}

// keepAlive sends pings until the stream ends, and the farewell when ctx is done.
func (p *Streams) keepAlive(ctx context.Context, s *stream) {
	t := time.NewTicker(p.cfg.Keepalive)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = s.write(ctx, Message{Kind: Ping}) // what fails here, the reader sees
		case <-s.done:
			return
		case <-ctx.Done():
			s.farewell() //nolint:contextcheck // ctx is done, and the bye must still go out
			return
		}
	}
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
