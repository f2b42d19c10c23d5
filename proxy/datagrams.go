package proxy

import (
	"errors"

	"github.com/tandem-lb/tandem/proxy/udp"
)

// errNoDatagrams is why a udp listener does not open where the caller opens the listeners.
var errNoDatagrams = errors.New("there are no datagrams here")

// newRelay returns what serves a udp listener.
func (l *listener) newRelay() *udp.Relay {
	return udp.New(udp.Config{
		Bind: l.cfg.Bind, Idle: l.cfg.IdleTimeout, Responses: l.cfg.Responses, MaxFlows: l.cfg.MaxConns,
		Admit: l.admitFlow, Left: l.flowLeft,
	}, l.pool, l.log)
}
