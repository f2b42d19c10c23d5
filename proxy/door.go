package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lb/tandem/proxy/udp"
)

const (
	// reopen is how long a listener that could not open waits before it tries again.
	reopen = time.Second
	// lookAgain is after how many attempts the holder of a taken port is looked up again, which
	// costs a walk through /proc.
	lookAgain = 30
)

// door is an address where clients come in, with those who are in. It stays when a reload puts another listener behind it.
type door struct {
	visits   visits
	relay    *udp.Relay // of a udp listener, else nil
	sessions sessions
	behind   atomic.Pointer[listener]
	leaving  atomic.Bool // no listener is behind it any more

	mu     sync.Mutex // guards what follows
	up     bool
	err    string
	socket io.Closer          // nil while none is open
	shut   context.CancelFunc // nil while it does not run
}

// newDoor puts a listener behind a new door.
func newDoor(l *listener) {
	d := &door{}
	l.door = d
	if l.cfg.Protocol == UDP {
		d.relay = l.newRelay()
	}
	d.behind.Store(l)
}

func (d *door) state() (up bool, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.up, d.err
}

// run keeps the door open until ctx is done. s and err are what the first attempt to open it gave.
func (d *door) run(ctx context.Context, s io.Closer, err error) {
	for attempt := 0; ; attempt++ {
		l := d.behind.Load()
		if err == nil && l.tls != nil {
			if err = l.tls.load(time.Now()); err != nil {
				_ = s.Close()
			}
		}
		if err == nil {
			d.use(s, l)
			d.set(true, "")
			l.log.Info("listening", "addr", l.cfg.Bind)
			attempt = 0
			err = d.serve(ctx, s)
			d.use(nil, nil)
			d.set(false, "")
		}
		if ctx.Err() != nil {
			return
		}
		d.behind.Load().failed(err, attempt)
		select {
		case <-ctx.Done():
			return
		case <-time.After(reopen):
		}
		s, err = d.behind.Load().reopen(ctx)
	}
}

// use notes the socket that is open, with the options of a listener.
func (d *door) use(s io.Closer, l *listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.socket = s; s != nil {
		setStall(s, l.cfg)
	}
}

// reopen opens the listener again, once it is known that its files and the address can be had.
func (l *listener) reopen(ctx context.Context) (io.Closer, error) {
	if l.tls != nil {
		if err := l.tls.load(time.Now()); err != nil {
			return nil, err
		}
	}
	if l.proxy.listen == nil {
		probe, err := open(ctx, l.cfg)
		if err != nil {
			return nil, err
		}
		_ = probe.Close()
	}
	sockets, errs := l.proxy.openThese(ctx, l.cfg)
	return sockets[0], errs[0]
}

// set records whether the door is open and reports whether that is news.
func (d *door) set(up bool, reason string) bool {
	d.mu.Lock()
	news := d.up != up || d.err != reason
	d.up, d.err = up, reason
	d.mu.Unlock()
	if news {
		d.behind.Load().proxy.poke()
	}
	return news
}

// serve accepts until ctx is done or the socket is broken.
func (d *door) serve(ctx context.Context, socket io.Closer) error {
	if s, ok := socket.(*udp.Socket); ok {
		return d.relay.Run(ctx, s)
	}
	s := socket.(net.Listener)
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	defer s.Close()
	var backOff time.Duration
	for {
		conn, err := s.Accept()
		l := d.behind.Load()
		switch {
		case err == nil:
			if backOff > 0 {
				backOff = 0
				l.log.Info("accepting again")
			}
			if peer := peerOf(conn); !d.visits.is(conn, peer) {
				l.admit(conn, peer)
			}
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Nearly always no descriptors or no memory. The clients wait in the backlog.
			if backOff == 0 {
				l.log.Warn("accepting failed, clients wait", "err", err)
			}
			backOff = min(max(2*backOff, 5*time.Millisecond), 500*time.Millisecond)
			select {
			case <-ctx.Done():
			case <-time.After(backOff):
			}
		}
	}
}

// enter puts another listener behind the door.
func (d *door) enter(l *listener) {
	l.door = d
	if d.relay != nil {
		d.relay.Set(l.datagrams(), l.pool)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind.Store(l)
	if d.socket != nil {
		setStall(d.socket, l.cfg)
	}
}

// leave shuts the door: nobody comes in, and who is in ends with what they have in hand.
func (d *door) leave() {
	d.leaving.Store(true)
	d.mu.Lock()
	shut := d.shut
	d.mu.Unlock()
	if shut != nil {
		shut()
	}
	d.sessions.drain()
}

// next is the listener that a connection's next request meets: the one that is behind the door by now. Where the connection was made by other
// terms than that one has, it is the old one, and the connection is to end.
func (l *listener) next() (next *listener, last bool) {
	n := l.behind.Load()
	if n != l && (n.cfg.Protocol != HTTP || n.tls != l.tls || n.cfg.ProxyProtocol != l.cfg.ProxyProtocol) {
		return l, true
	}
	return n, false
}

// adopt has the next request of a kept connection meet the listener of now.
func (c *client) adopt() {
	var l *listener
	if l, c.last = c.listener.next(); l != c.listener {
		c.listener, c.trusted = l, l.cfg.trusts(c.peer.Addr())
	}
}

// ending reports whether the connection ends with its next answer.
func (c *client) ending() bool { return c.last || c.listener.ending() }
