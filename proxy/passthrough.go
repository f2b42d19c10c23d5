package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/sni"
)

// NamedPool says which pool is behind some names of servers.
type NamedPool struct {
	Names []string // lower case; *.example.org stands for one label more
	Pool  string
}

var (
	errHandshake = errors.New("TLS handshake failed")
	errNoName    = errors.New("no pool is behind the name that the client asks for")
)

// nameServers makes the table of passthrough.
func (l *listener) nameServers(pools Pools) error {
	var errs []error
	for _, n := range l.cfg.Names {
		to := pools.Pool(n.Pool)
		if to == nil {
			errs = append(errs, fmt.Errorf("listener %s: there is no pool %q", l.cfg.Name, n.Pool))
			continue
		}
		for _, name := range n.Names {
			if !l.names.Add(name, to) {
				errs = append(errs, fmt.Errorf("listener %s: the name %s is there twice", l.cfg.Name, name))
			}
		}
	}
	return errors.Join(errs...)
}

// pools lists the pools that the listener can forward to.
func (l *listener) pools() []*pool.Pool {
	var ps []*pool.Pool
	for i := range l.ways {
		if p := l.ways[i].pool; p != nil {
			ps = append(ps, p)
		}
	}
	for p := range l.names.All() {
		ps = append(ps, p)
	}
	return ps
}

// destination is the pool for a client of a tcp listener. What was read to find it goes to the backend first.
func (t *tunnel) destination() (*pool.Pool, error) {
	l := t.listener
	switch {
	case t.client.secure != nil:
		if _, ok := l.handshake(t.client.secure, t.peer); !ok {
			return nil, errHandshake
		}
	case l.cfg.Passthrough:
		return t.byName()
	}
	return l.pool, nil
}

// byName reads the name of the server that the client wants to talk to.
func (t *tunnel) byName() (*pool.Pool, error) {
	l := t.listener
	t.client.by(time.Now().Add(l.cfg.HeaderTimeout))
	for {
		name, err := sni.ServerName(t.client.pending())
		switch {
		case err == nil:
			if to, ok := l.names.Find(name); ok {
				return to, nil
			}
			if l.pool != nil {
				return l.pool, nil
			}
			_, _ = t.client.Write(sni.Alert())
			t.client.drop()
			return nil, errNoName
		case !errors.Is(err, sni.ErrShort):
			return nil, err
		}
		if err := t.client.fill(); err != nil {
			return nil, err
		}
	}
}
