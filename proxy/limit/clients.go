package limit

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// The limits that a client can be beyond.
var (
	ErrConns = errors.New("the client has as many connections as it may have")
	ErrRate  = errors.New("the client asks more often than it may")
)

// maxRemembered bounds the clients without a connection whose requests are remembered, at some 150 bytes each. Beyond it the one
// that has been silent longest is forgotten, and then has its whole burst again.
const maxRemembered = 1 << 16

// Config says how much each client may use. A client is an IPv4 address, or an IPv6 network of 64 bits, which is what one host can have all of.
type Config struct {
	Conns int     // at once; zero: no limit
	Rate  float64 // requests a second, over time; zero: no limit
	Burst int     // requests at once, after a pause; at least 1
}

// Clients counts what clients use. Its methods may be called from any goroutine; a nil *Clients lets everything through.
type Clients struct {
	cfg Config

	mu    sync.Mutex // guards what follows
	all   map[netip.Addr]*client
	quiet client // the ring of clients without connections; the one that was silent longest is quiet.next
	idle  int    // in the ring
}

type client struct {
	addr  netip.Addr
	conns int
	// due is when the bucket is full again: a request moves it on by 1/Rate, and none may that would move it farther than Burst/Rate from now.
	due        time.Time
	prev, next *client // in the ring, while conns is zero
}

// NewClients returns a counter, nil if cfg has no limit.
func NewClients(cfg Config) *Clients {
	if cfg.Conns <= 0 && cfg.Rate <= 0 {
		return nil
	}
	cfg.Burst = max(cfg.Burst, 1)
	c := &Clients{cfg: cfg, all: make(map[netip.Addr]*client)}
	c.quiet.prev, c.quiet.next = &c.quiet, &c.quiet
	return c
}

// key is the part of an address that names a client.
func key(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// Enter counts a connection of a client, which Leave ends. The error is ErrConns; then there is nothing to leave.
func (c *Clients) Enter(a netip.Addr) error {
	if c == nil || c.cfg.Conns <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.find(key(a))
	if cl.conns >= c.cfg.Conns {
		return ErrConns
	}
	if cl.conns == 0 {
		c.unlink(cl)
	}
	cl.conns++
	return nil
}

// Leave ends a connection.
func (c *Clients) Leave(a netip.Addr) {
	if c == nil || c.cfg.Conns <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.all[key(a)]
	if cl == nil || cl.conns == 0 {
		return
	}
	if cl.conns--; cl.conns > 0 {
		return
	}
	if c.cfg.Rate <= 0 {
		delete(c.all, cl.addr)
		return
	}
	c.link(cl)
}

// Allow counts a request of a client. If it is one too many, it is not counted, and the error is ErrRate.
func (c *Clients) Allow(a netip.Addr, now time.Time) error {
	if c == nil || c.cfg.Rate <= 0 {
		return nil
	}
	one := time.Duration(float64(time.Second) / c.cfg.Rate)
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.find(key(a))
	if cl.conns == 0 {
		c.unlink(cl)
		c.link(cl)
	}
	due := cl.due
	if due.Before(now) {
		due = now
	}
	if due = due.Add(one); due.Sub(now) > time.Duration(c.cfg.Burst)*one {
		return ErrRate
	}
	cl.due = due
	return nil
}

// find returns what is known of a client. The caller holds mu.
func (c *Clients) find(k netip.Addr) *client {
	cl := c.all[k]
	if cl == nil {
		if c.idle >= maxRemembered {
			gone := c.quiet.next
			c.unlink(gone)
			delete(c.all, gone.addr)
		}
		cl = &client{addr: k}
		c.all[k] = cl
		c.link(cl)
	}
	return cl
}

// link puts a client at the end of the ring of those without connections.
func (c *Clients) link(cl *client) {
	cl.prev, cl.next = c.quiet.prev, &c.quiet
	cl.prev.next, cl.next.prev = cl, cl
	c.idle++
}

func (c *Clients) unlink(cl *client) {
	cl.prev.next, cl.next.prev = cl.next, cl.prev
	cl.prev, cl.next = nil, nil
	c.idle--
}
