package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/proxy/mux"
)

const (
	// mostStreams bounds the requests on one connection to a backend that speaks HTTP/2; many allow 100 to 250.
	mostStreams = 100
	// mostHeader bounds an answer's header before the listener's own bound does.
	mostHeader = 1 << 20
	// mostMuxed bounds the connections to one such backend. It is of use for backends that allow few streams on each.
	mostMuxed = 256
)

// newMux returns what keeps the connections to a backend that speaks HTTP/2.
func (u *upstream) newMux() *mux.Set {
	scheme := "http"
	if u.tls != nil {
		scheme = "https"
	}
	return mux.NewSet(mux.Config{
		Scheme: scheme, MaxHeader: mostHeader, MaxStreams: mostStreams, MaxConns: mostMuxed, Idle: keepIdle,
		Ended: func() { u.proxy.budget.Give(1) },
	})
}

// muxed returns a stream to ask over, on a connection that others may use, too.
func (u *upstream) muxed(stall time.Duration, client, at netip.AddrPort, last bool) (*backendConn, error) {
	s, err := u.mux.Open(stall, last, func() (conn net.Conn, until time.Time, err error) {
		if err = u.proxy.budget.Take(1); err != nil {
			return nil, until, err
		}
		until = time.Now().Add(u.limit)
		if conn, err = u.dial(client, at, last); err == nil {
			setUserTimeout(conn, stall)
			err = speaksHTTP2(conn)
		}
		if err != nil {
			u.proxy.budget.Give(1)
		}
		return conn, until, err
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	b := &backendConn{upstream: u, asked: s.Answered()}
	b.init(s, &u.proxy.buffers)
	if !u.backend.Attach(b) {
		_ = s.Close()
		return nil, errWentDown
	}
	return b, nil
}

// speaksHTTP2 reports what TLS says about it; without TLS the backend's first frame does.
func speaksHTTP2(c net.Conn) error {
	if s, ok := c.(*secureConn); ok && s.ConnectionState().NegotiatedProtocol != "h2" {
		_ = c.Close()
		return errors.New("TLS: the backend does not offer HTTP/2 (ALPN h2)")
	}
	return nil
}

// deaf reports whether the backend's host has vanished; then nobody asks over the connection any more.
func (b *backendConn) deaf() bool {
	s, ok := b.Conn.(*mux.Stream)
	if !ok {
		return b.stream.deaf()
	}
	var under stream
	under.init(s.Conn().Under(), b.buffers)
	if !under.deaf() {
		return false
	}
	s.Conn().Abandon(errDeaf)
	return true
}

// detailed is err if it says more than that a connection has ended, else otherwise.
func detailed(err, otherwise error) error {
	if _, ok := errors.AsType[*mux.ResetError](err); ok {
		return err
	}
	for _, e := range []error{mux.ErrMalformed, mux.ErrSilent, mux.ErrUnseen} {
		if errors.Is(err, e) {
			return err
		}
	}
	return otherwise
}

// protocolOf is what TLS is to offer to the backends of a pool.
func protocolOf(http2 bool) []string {
	if http2 {
		return []string{"h2"}
	}
	return nil
}
