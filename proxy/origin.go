package proxy

import (
	"net/netip"
	"strings"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// origin finds out who asks: the peer or, if that is a trusted proxy, the last address in X-Forwarded-For that is not one. It is
// the one rule for the client's address, for routes, logs, limits and hashes alike. What cannot be read counts as said by
// nobody: then the proxy that has passed it on is taken for the client.
type origin struct {
	cfg   *ListenerConfig
	addr  netip.Addr
	found bool
}

func (l *ListenerConfig) origin(peer netip.Addr) origin {
	return origin{cfg: l, addr: peer, found: !l.trusts(peer)}
}

// look takes the value of one X-Forwarded-For field. The last field comes first.
func (o *origin) look(value string) {
	for !o.found && value != "" {
		last := value
		if i := strings.LastIndexByte(value, ','); i >= 0 {
			value, last = value[:i], value[i+1:]
		} else {
			value = ""
		}
		if last = strings.Trim(last, " \t"); last == "" {
			continue
		}
		a, ok := forwardedAddr(last)
		if !ok {
			o.found = true
			return
		}
		o.addr, o.found = a, !o.cfg.trusts(a)
	}
}

// forwardedAddr reads an address as proxies write them: alone, or with a port.
func forwardedAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if p, err := netip.ParseAddrPort(s); err == nil {
			return p.Addr().Unmap().WithZone(""), true
		}
		a, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	}
	return a.Unmap().WithZone(""), err == nil
}

// origin returns who asks by r.
func (c *client) origin(r *http1.Request) netip.Addr {
	o := c.listener.cfg.origin(c.peer.Addr())
	for i := len(r.Fields) - 1; i >= 0 && !o.found; i-- {
		if f := &r.Fields[i]; f.Kind == http1.ForwardedFor {
			o.look(text(r.Value(f)))
		}
	}
	return o.addr
}
