package configs

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
	"github.com/tandem-lb/tandem/proxy/route"
)

// names notes which names are taken in one list.
type names map[string]int

// take reads a required name and refuses it if it is taken.
func (c *checker) take(taken names, b block, s scalar, what string) string {
	if c.need(b, "name", s.set, "a name for the "+what); !s.set {
		return ""
	}
	name := c.name(s)
	if name == "" {
		return ""
	}
	if line, twice := taken[name]; twice {
		c.bad(s.place, "%s is the name of another %s already (line %d); give each its own", name, what, line)
		return ""
	}
	taken[name] = s.line
	return name
}

func (c *checker) readListeners(bs *blocks[fileListener]) []proxy.ListenerConfig {
	taken := make(names)
	var ls []proxy.ListenerConfig
	for i := range bs.items {
		f := &bs.items[i]
		if f.bad {
			continue
		}
		l := proxy.ListenerConfig{Name: c.take(taken, f.block, f.Name, "listener")}
		if c.need(f.block, "bind", f.Bind.set, "where clients connect: a virtual address and a port, such as 10.0.0.10:80"); f.Bind.set {
			l.Bind = c.listenerBind(f.Bind)
		}
		if c.need(f.block, "protocol", f.Protocol.set, "tcp, http or udp"); f.Protocol.set {
			l.Protocol = choice(c, f.Protocol, "", proxy.TCP, proxy.HTTP, proxy.UDP)
		}
		c.listenerTLS(f, &l)
		if f.Pool.set {
			if l.Pool = c.name(f.Pool); l.Pool != "" {
				c.used = append(c.used, located[string]{f.Pool.place, l.Pool})
			}
		}
		c.bytesOnly(l.Protocol, f.Pool)
		c.trust(f, &l)
		c.timeouts(f, &l)
		l.NoAccessLog = f.AccessLog.set && !c.flag(f.AccessLog)
		if l.Protocol == proxy.HTTP {
			l.MaxBody = max(0, c.bodySize(f.MaxBody)) // unlimited is the default
			l.ErrorPages = c.errorPages(f)
			c.routes(f, &l)
			l.RequestID = c.text(f.RequestID, route.CheckFieldName)
		} else if !f.Pool.set && len(l.Names) == 0 {
			c.need(f.block, "pool", false, "the name of a pool below pools")
		}
		if l.Bind.IsValid() {
			c.listeners = append(c.listeners, located[proxy.ListenerConfig]{f.Bind.place, l})
		}
		ls = append(ls, l)
	}
	if len(bs.items) == 0 && !bs.bad {
		at := place{line: 1, col: 1, key: "listeners"}
		if bs.set {
			at = bs.place
		}
		c.warn(at, "there is none: this node moves the virtual addresses and forwards nothing; and without one a crash of the peer is noticed by its silence only")
	}
	return ls
}

func (c *checker) listenerBind(s scalar) netip.AddrPort {
	bind, ok := c.addrPort(s, 0)
	if !ok {
		return netip.AddrPort{}
	}
	if why := odd(bind.Addr()); why != "" && !bind.Addr().IsUnspecified() {
		c.bad(s.place, "%s %s; write a virtual address, an address of the host, or 0.0.0.0 or [::] for all", show(s.text), why)
		return netip.AddrPort{}
	}
	return bind
}

// timeouts reads the keys of a listener that depend on its protocol.
func (c *checker) timeouts(f *fileListener, l *proxy.ListenerConfig) {
	const day = 24 * time.Hour
	session := span{min: time.Second, max: 7 * day, def: time.Hour, never: true}
	if l.Protocol != proxy.UDP && f.Responses.set {
		c.bad(f.Responses.place, "is for protocol: udp")
	}
	c.clientLimits(f, l)
	switch l.Protocol {
	case proxy.TCP:
		l.IdleTimeout = c.duration(f.IdleTimeout, session)
		l.HalfCloseTimeout = c.duration(f.HalfCloseTimeout, span{min: time.Second, max: day, def: time.Minute, never: true})
		for _, s := range []scalar{f.TunnelTimeout, f.HeaderTimeout, f.BodyTimeout, f.ResponseTimeout, f.MaxHeader, f.H2C, f.MaxBody, f.LenientPaths, f.RequestID, f.MinRate} {
			c.httpOnly(s.set, s.place)
		}
		if !l.ProxyProtocol {
			c.httpOnly(f.TrustedProxies.set, f.TrustedProxies.place)
		}
		c.httpOnly(f.Routes.set, f.Routes.place)
		c.httpOnly(f.ErrorPages.set, f.ErrorPages.place)
	case proxy.HTTP:
		patience := func(def time.Duration) span {
			return span{min: 100 * time.Millisecond, max: time.Hour, def: def, never: true}
		}
		l.IdleTimeout = c.duration(f.IdleTimeout, span{min: time.Second, max: 7 * day, def: time.Minute, never: true})
		l.TunnelTimeout = c.duration(f.TunnelTimeout, session)
		l.HeaderTimeout = c.duration(f.HeaderTimeout, patience(5*time.Second))
		l.BodyTimeout = c.duration(f.BodyTimeout, patience(30*time.Second))
		l.ResponseTimeout = c.duration(f.ResponseTimeout, patience(30*time.Second))
		l.MaxHeader = c.size(f.MaxHeader, 1<<10, 1<<20, 32<<10)
		if l.MinRate = c.size(f.MinRate, 0, 1<<20, 100); l.MinRate == 0 {
			l.MinRate = -1
		}
		if l.HeaderTimeout == never {
			c.warn(f.HeaderTimeout.place, "never lets clients that send nothing keep their connections for ever; 5s is the default")
		}
		if f.HalfCloseTimeout.set {
			c.bad(f.HalfCloseTimeout.place, "is for protocol: tcp; an http listener knows when a request and its answer end")
		}
	case proxy.UDP:
		c.datagrams(f, l)
	default: // wrong, and reported: who knows what the rest was for
	}
}

func (c *checker) httpOnly(set bool, at place) {
	if set {
		c.bad(at, "is for protocol: http; a tcp listener does not look into what it forwards")
	}
}

// size reads a number of bytes, with KiB or MiB if the operator likes.
func (c *checker) size(s scalar, least, most, def int) int {
	if !s.ok() {
		return def
	}
	unit, digits := 1, s.text
	for _, u := range []struct {
		name string
		n    int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}} {
		if d, ok := strings.CutSuffix(s.text, u.name); ok {
			unit, digits = u.n, strings.TrimRight(d, " ")
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || !isDigits(digits) || n < 0 || n > most || n*unit < least || n*unit > most {
		c.bad(s.place, "%s is not a size; allowed: %d..%d bytes, or with a unit as in 32KiB (default %d)", show(s.text), least, most, def)
		return def
	}
	return n * unit
}

// networks reads a list of networks; a single address is a network of one.
func (c *checker) networks(l *list) []netip.Prefix {
	var ps []netip.Prefix
	seen := make(map[netip.Prefix]bool)
	for _, s := range l.items {
		if !s.ok() {
			continue
		}
		if a, bits, ok := strings.Cut(s.text, "/"); ok && bits == "0" && (a == "0.0.0.0" || a == "::") {
			c.warn(s.place, "%s believes every client what it says about its address; list the proxies in front of this one only", s.text)
			ps = append(ps, netip.MustParsePrefix(s.text))
			continue
		}
		p, ok := c.prefix(s)
		switch {
		case !ok:
		case p.Addr().IsUnspecified():
			c.bad(s.place, "%s is the unspecified address; write the network of the proxies, such as 10.1.0.0/16", show(s.text))
		case p != p.Masked():
			c.bad(s.place, "%s is an address in a network; write the network %s, or the address alone", show(s.text), p.Masked())
		case seen[p]:
			c.bad(s.place, "%s is listed twice", p)
		default:
			seen[p] = true
			ps = append(ps, p)
		}
	}
	return ps
}

func (c *checker) readPools(bs *blocks[filePool]) []Pool {
	taken := make(names)
	var ps []Pool
	for i := range bs.items {
		f := &bs.items[i]
		if f.bad {
			continue
		}
		p := Pool{Config: pool.Config{
			Name:           c.take(taken, f.block, f.Name, "pool"),
			ConnectTimeout: c.duration(f.ConnectTimeout, span{min: 10 * time.Millisecond, max: time.Minute, def: time.Second}),
			ProxyProtocol:  choice(c, f.ProxyProtocol, proxyheader.None, proxyheader.V1, proxyheader.V2),
		}}
		if p.Name != "" {
			c.pools = append(c.pools, located[string]{f.Name.place, p.Name})
		}
		c.poolProtocol(f, &p)
		p.TLS = c.poolTLS(&f.TLS)
		c.headed[p.Name], c.guessed[p.Name] = p.ProxyProtocol != "", !f.Health.Type.set && !f.Health.Port.set
		p.Health = c.health(&f.Health, p.TLS)
		p.Backends = c.readBackends(f, &p)
		c.failures(f, &p)
		c.balancing(f, &p)
		ps = append(ps, p)
	}
	return ps
}

func (c *checker) readBackends(f *filePool, p *Pool) []pool.BackendConfig {
	c.need(f.block, "backends", f.Backends.set, "a list of backends, each with name and address")
	if f.Backends.set && !f.Backends.bad && len(f.Backends.items) == 0 {
		c.bad(f.Backends.place, "is empty; write at least one backend")
	}
	taken, at := make(names), make(map[netip.AddrPort]string)
	var bs []pool.BackendConfig
	for i := range f.Backends.items {
		fb := &f.Backends.items[i]
		if fb.bad {
			continue
		}
		b := pool.BackendConfig{Name: c.take(taken, fb.block, fb.Name, "backend of this pool"), Weight: c.number(fb.Weight, 256, 1)}
		b.Backup, b.MaxConns = c.flag(fb.Backup), c.number(fb.MaxConns, mostConns, 0)
		c.need(fb.block, "address", fb.Address.set, "where the backend listens, such as 10.0.1.21:8080")
		var named bool
		if b.Host, b.Port, named = c.named(fb.Address); named {
			bs = append(bs, c.byName(fb, b, taken, p)...)
			continue
		}
		if fb.Addresses.set {
			c.bad(fb.Addresses.place, "is for a backend whose address is a host name")
		}
		if a, ok := c.addrPort(fb.Address, 0); ok {
			if why := odd(a.Addr()); why != "" {
				c.bad(fb.Address.place, "%s %s; write where the backend listens", show(fb.Address.text), why)
			} else {
				b.Address = a
				c.backends = append(c.backends, located[netip.AddrPort]{fb.Address.place, a})
			}
		}
		if other, twice := at[b.Address]; twice && b.Address.IsValid() {
			c.warn(fb.Address.place, "%s is the address of the backend %s, too; it gets two shares", b.Address, other)
		}
		at[b.Address] = b.Name
		bs = append(bs, b)
	}
	return bs
}
