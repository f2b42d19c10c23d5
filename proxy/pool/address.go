package pool

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// place puts a new backend where it is configured. One that is known by name is down until it is known where.
func (b *Backend) place(c BackendConfig) {
	b.at.Store(&c.Address)
	if b.host = c.HostPort(); b.host != "" {
		b.reason = c.Host + ": not resolved yet"
		b.state.Store(uint32(Down))
	}
}

// HostPort returns the host name with the port; empty if the backend is not known by name.
func (c BackendConfig) HostPort() string {
	if c.Host == "" {
		return ""
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}

// isAt reports whether the backend is where c says, or is found by the same name.
func (b *Backend) isAt(c BackendConfig) bool {
	return b.host == c.HostPort() && (b.host != "" || b.Address() == c.Address)
}

// Host returns the name by which the backend's address is found, with the port; empty if the address is fixed.
func (b *Backend) Host() string { return b.host }

// placed reports whether there is a place to connect to.
func (b *Backend) placed() bool { return b.host == "" || b.Address().IsValid() }

// unused reports whether the backend is there for an address that its name does not have now.
func (b *Backend) unused() bool { return !b.placed() && b.State() != Down }

// Where returns where a backend is, for probes. Without an address the reason says why not; empty: it is not in use.
func (s *Set) Where(pool, backend string) (at netip.AddrPort, reason string) {
	p := s.Pool(pool)
	if p == nil {
		return at, ""
	}
	for _, b := range p.Backends() {
		if b.name == backend {
			return b.where()
		}
	}
	return at, ""
}

func (b *Backend) where() (at netip.AddrPort, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at = b.Address(); !b.placed() && !b.unused() {
		reason = b.reason
	}
	return at, reason
}

// SetAddress records where a backend is that is known by name. Of another place nothing is known yet: it begins unchecked, and what its failures
// have cost it is forgotten. No address and a reason: it is down; without a reason it is not in use. Its sessions go on. It does not block.
func (s *Set) SetAddress(pool, backend string, at netip.AddrPort, reason string) {
	p := s.Pool(pool)
	if p == nil {
		return
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	for _, b := range p.Backends() {
		if b.name == backend && b.host != "" {
			p.move(b, at, reason)
		}
	}
}

// move gives b another place. The caller holds changing.
func (p *Pool) move(b *Backend, at netip.AddrPort, reason string) {
	was, state := b.Address(), Unchecked
	if !at.IsValid() && reason != "" {
		state = Down
	}
	b.mu.Lock()
	if was == at && (at.IsValid() || b.State() == state) {
		if !at.IsValid() {
			b.reason = reason
		}
		b.mu.Unlock()
		return
	}
	b.reason = reason
	b.at.Store(&at)
	b.since = time.Now()
	b.state.Store(uint32(state))
	b.mu.Unlock()
	p.pardon(b)
	p.turn()
	if was != at {
		p.log.Info("backend has another address", "pool", p.name, "backend", b.name, "name", b.host, "from", text(was), "to", text(at))
	}
}

// text is an address as it is told.
func text(at netip.AddrPort) string {
	if !at.IsValid() {
		return "none"
	}
	return at.String()
}
