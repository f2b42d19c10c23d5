package configs

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/sni"
	"github.com/tandem-lb/tandem/resolve"
)

// named reports whether a backend's address is a host name with a port, and reads it. What is wrong with it has been told.
func (c *checker) named(s scalar) (host string, port uint16, named bool) {
	if !s.ok() || strings.ContainsAny(s.text, "/%") {
		return "", 0, false
	}
	name, digits, whole := splitPort(s.text)
	if !looksLikeName(name) || name == "localhost" {
		return "", 0, false
	}
	host, ok := sni.Canonical(name)
	n := atoi(digits)
	switch {
	case !ok || mistyped(name):
		c.bad(s.place, `%s is neither an address nor a host name; write 10.0.1.21:8080, "[2001:db8::1]:8080" or app.example.org:8080`, show(s.text))
	case !whole:
		c.bad(s.place, "%s has no port; write %s:80, or whichever port is meant", show(s.text), name)
	case n < 1 || n > 65535 || !isDigits(digits):
		c.bad(s.place, "%s has the port %s; allowed: 1..65535", show(s.text), show(digits))
	default:
		return host, uint16(n), true
	}
	return "", 0, true
}

// mistyped reports whether a name is rather an IPv4 address with a letter in it.
func mistyped(name string) bool {
	numbers, labels := 0, strings.Split(name, ".")
	for _, l := range labels {
		if isDigits(l) {
			numbers++
		}
	}
	return len(labels) == 4 && numbers == 3 || isDigits(labels[len(labels)-1])
}

// byName makes the backends of a name: one, or as many as addresses says, each with a number.
func (c *checker) byName(f *fileBackend, b pool.BackendConfig, taken names, p *Pool) []pool.BackendConfig {
	n := resolve.Name{Host: b.Host, Port: b.Port, Pool: p.Name}
	var bs []pool.BackendConfig
	many := c.number(f.Addresses, resolve.MaxBackends, 1)
	for i := range many {
		one := b
		if many > 1 {
			one.Name = fmt.Sprintf("%s-%d", b.Name, i+1)
			if line, twice := taken[one.Name]; twice {
				c.bad(f.Name.place, "addresses: %d makes a backend %s, and there is one already (line %d)", many, one.Name, line)
			}
			taken[one.Name] = f.Name.line
			if b.Name != "" && !validName(one.Name) {
				c.bad(f.Name.place, "%s is too long for a name to which addresses adds a number", show(b.Name))
			}
		}
		n.Backends = append(n.Backends, one.Name)
		bs = append(bs, one)
	}
	p.Names = append(p.Names, n)
	return bs
}

// resolver reads whom to ask for names.
func (c *checker) resolver(f *fileResolver) resolve.Config {
	const most = 8
	cfg := resolve.Config{
		MinTTL:  c.duration(f.MinTTL, span{min: time.Second, max: time.Hour, def: resolve.DefaultMinTTL}),
		Timeout: c.duration(f.Timeout, span{min: 100 * time.Millisecond, max: 30 * time.Second, def: resolve.DefaultTimeout}),
	}
	cfg.MaxTTL = c.duration(f.MaxTTL, span{min: cfg.MinTTL, max: 24 * time.Hour, def: max(cfg.MinTTL, resolve.DefaultMaxTTL)})
	if f.Servers.set && !f.Servers.bad && (len(f.Servers.items) == 0 || len(f.Servers.items) > most) {
		c.bad(f.Servers.place, "has %d entries; allowed: 1..%d, or leave the key out for those of /etc/resolv.conf", len(f.Servers.items), most)
	}
	seen := make(map[netip.AddrPort]bool)
	for _, s := range f.Servers.items {
		a, ok := c.addrPort(s, 53)
		switch {
		case !ok:
		case odd(a.Addr()) != "":
			c.bad(s.place, "%s %s; write where a name server listens", show(s.text), odd(a.Addr()))
		case seen[a]:
			c.bad(s.place, "%s is listed twice", a)
		default:
			seen[a] = true
			cfg.Servers = append(cfg.Servers, a)
		}
	}
	return cfg
}
