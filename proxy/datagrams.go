package proxy

import (
	"errors"

	"github.com/tandem-lb/tandem/proxy/udp"
)

// errNoDatagrams is why a udp listener does not open where the caller opens the listeners.
var errNoDatagrams = errors.New("there are no datagrams here")

// newRelay returns what serves a udp listener.
func (l *listener) newRelay() *udp.Relay {
	return udp.New(l.datagrams(), l.pool, l.log)
}

func (l *listener) datagrams() udp.Config {
	return udp.Config{
		Bind: l.cfg.Bind, Idle: l.cfg.IdleTimeout, Responses: l.cfg.Responses, MaxFlows: l.cfg.MaxConns,
		Admit: l.admitFlow, Left: l.flowLeft,
	}
}
