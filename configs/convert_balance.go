package configs

import (
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

const (
	// mostWaiting bounds queue.size: each who waits costs a connection and its goroutine.
	mostWaiting  = 100000
	queueSize    = 1024
	queueTimeout = 5 * time.Second
	// mostConns bounds max_conns; more is no bound.
	mostConns = 1000000
)

// balancing reads how a pool spreads its load. The backends have been read.
func (c *checker) balancing(f *filePool, p *Pool) {
	p.Balance = choice(c, f.Balance, pool.RoundRobin, pool.RoundRobin, pool.LeastConn, pool.P2C, pool.Random, pool.SourceHash, pool.Maglev)
	if f.SlowStart.set {
		if p.Balance.ByClient() {
			c.bad(f.SlowStart.place, "does not go with balance: %s, under which a share that grows would move clients all the time", p.Balance)
		} else {
			p.SlowStart = c.duration(f.SlowStart, span{min: time.Second, max: time.Hour})
		}
	}
	if f.BoundedLoad.set {
		if !p.Balance.ByClient() {
			c.bad(f.BoundedLoad.place, "is for balance: source-hash and maglev; the others spread the load anyway")
		} else {
			p.BoundedLoad = c.percent(f.BoundedLoad, 101, 1000)
		}
	}
	p.Panic = c.percent(f.Panic, 1, 100)
	p.KeepAtLeast = c.number(f.KeepAtLeast, 4096, 0)
	primaries, limited := 0, p.MaxRequests > 0
	for _, b := range p.Backends {
		limited = limited || b.MaxConns > 0
		if !b.Backup {
			primaries++
		}
	}
	switch {
	case len(p.Backends) == 0:
	case primaries == 0:
		c.bad(f.Backends.place, "has backups only; at least one backend must be none")
	case p.KeepAtLeast > primaries:
		c.bad(f.KeepAtLeast.place, "%d is more than the %d backends that are no backups", p.KeepAtLeast, primaries)
	}
	c.waiting(&f.Queue, p, limited)
	c.cookie(&f.Sticky, p)
}

// waiting reads the queue, which there is only where a backend can be full.
func (c *checker) waiting(f *fileQueue, p *Pool, limited bool) {
	if !limited {
		if f.set && !f.bad {
			c.bad(f.place, "is for pools that have max_requests, or whose backends have max_conns; without it nobody waits")
		}
		return
	}
	p.QueueSize = queueSize
	if f.Size.text == "0" && f.Size.ok() && f.Size.kind == number {
		p.QueueSize = 0
	} else {
		p.QueueSize = c.number(f.Size, mostWaiting, queueSize)
	}
	p.QueueTimeout = c.duration(f.Timeout, span{min: 10 * time.Millisecond, max: time.Hour, def: queueTimeout})
}

// cookie reads by which cookie clients come back to their backend.
func (c *checker) cookie(f *fileSticky, p *Pool) {
	if c.need(f.block, "cookie", f.Cookie.set, "a name for the cookie, such as srv"); !f.Cookie.ok() {
		return
	}
	if !validName(f.Cookie.text) {
		c.bad(f.Cookie.place, "%s is not a name for a cookie; allowed: %s", show(f.Cookie.text), nameRule)
		return
	}
	p.Cookie = f.Cookie.text
	c.sticky = append(c.sticky, located[string]{f.Cookie.place, p.Name})
}

// cookies: a tcp listener does not see cookies.
func (c *checker) cookies() {
	for _, s := range c.sticky {
		for _, l := range c.listeners {
			if l.v.Pool == s.v && l.v.Protocol == "tcp" {
				c.warn(s.place, "means nothing to the listener %s (line %d), which has protocol: tcp; there use balance: source-hash", l.v.Name, l.line)
			}
		}
	}
}

// percent reads a percentage, such as 50%; if it is absent or wrong it is zero.
func (c *checker) percent(s scalar, least, most int) int {
	if !s.ok() {
		return 0
	}
	digits, sign := strings.CutSuffix(s.text, "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || !isDigits(digits):
		c.bad(s.place, "%s is not a percentage; allowed: %d%%..%d%%", show(s.text), least, most)
	case n < least || n > most:
		c.bad(s.place, "%s is out of range (allowed: %d%%..%d%%)", s.text, least, most)
	case !sign:
		c.bad(s.place, "%s has no unit; did you mean %d%%? (allowed: %d%%..%d%%)", s.text, n, least, most)
	default:
		return n
	}
	return 0
}
