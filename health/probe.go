package health

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/command"
)

const (
	// late is how far beyond its timeout a failed probe may end before the blame is this host's (paused, starved).
	late = 250 * time.Millisecond
	// drainTime is how long the rest of an answer is read after the verdict, so that a decent backend sees an
	// orderly end instead of a reset.
	drainTime = 50 * time.Millisecond
)

// dialFunc connects to a backend; it must heed ctx.
type dialFunc func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// dialTCP is the dialFunc of the real world.
func dialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // a probe does not live long enough to need it
	return d.DialContext(ctx, "tcp", addr.String())
}

// prober makes probes of one target. It is used by one goroutine.
type prober struct {
	dial dialFunc
	addr netip.AddrPort // with the port to probe
	cfg  Config         // with defaults
	hail []byte         // sent first
	talk exchanger      // nil: to connect is enough, or exec is there
	exec *execProbe     // nil: by network
}

// exchanger talks to a backend over a connection whose deadline is set, and judges it. It returns what is left to be read, nil if
// there is nothing worth reading.
type exchanger interface {
	exchange(ctx context.Context, conn net.Conn) (result, io.Reader)
}

func newProber(t Target, dial dialFunc) *prober {
	p := &prober{dial: dial, addr: t.Address, cfg: t.Config.WithDefaults(), hail: t.Greeting}
	p.cfg.Host = cmp.Or(p.cfg.Host, t.Host)
	if p.cfg.Port != 0 && p.addr.IsValid() {
		p.addr = netip.AddrPortFrom(p.addr.Addr(), p.cfg.Port)
	}
	t.Config = p.cfg
	secure := func(protos ...string) *handshaker {
		if !p.cfg.TLS {
			return nil
		}
		return &handshaker{cfg: p.cfg, addr: p.addr, protos: protos}
	}
	switch p.cfg.Type {
	case HTTP, HTTPS:
		p.talk = &httpProbe{addr: p.addr, cfg: p.cfg, tls: secure("http/1.1")}
	case GRPC:
		p.talk = &grpcProbe{addr: p.addr, cfg: p.cfg, tls: secure("h2")}
	case TCP, TLS:
		if p.cfg.TLS || p.cfg.Send != "" || p.cfg.Receive != "" {
			p.talk = &talkProbe{cfg: p.cfg, tls: secure()}
		}
	case Exec:
		p.exec = &execProbe{target: t, addr: p.addr, run: command.Run}
	case None:
	}
	return p
}

// probe makes one probe. It returns within the configured timeout and drainTime, earlier when ctx ends, and leaves
// no connection and no goroutine behind.
func (p *prober) probe(ctx context.Context) result {
	start := time.Now()
	deadline := start.Add(p.cfg.Timeout)
	if p.exec != nil {
		return p.timed(start, p.exec.judge(ctx)) // has the time limit itself
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	conn, err := p.dial(ctx, p.addr)
	if err != nil {
		return p.timed(start, failure("connect", p.cfg.Timeout, err))
	}
	defer conn.Close()
	if p.talk == nil && len(p.hail) == 0 {
		return p.timed(start, passed("connected"))
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return p.timed(start, failure("connect", p.cfg.Timeout, err))
	}
	if len(p.hail) > 0 {
		if _, err := conn.Write(p.hail); err != nil {
			return p.timed(start, failure("send the PROXY header", p.cfg.Timeout, err))
		}
	}
	if p.talk == nil {
		return p.timed(start, passed("connected"))
	}
	// A cancelled probe ends at once: no read or write outlives the checker.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r, rest := p.talk.exchange(ctx, conn)
	r = p.timed(start, r)
	if rest != nil && stop() && conn.SetDeadline(time.Now().Add(drainTime)) == nil {
		_, _ = io.CopyN(io.Discard, rest, maxBody)
	}
	return r
}

// timed completes a result. A failure that came long after its timeout tells more of this host than of the backend.
func (p *prober) timed(start time.Time, r result) result {
	r.took = time.Since(start)
	if !r.ok && r.took > p.cfg.Timeout+late {
		r.late = true
	}
	return r
}
