package resolve

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Config says whom to ask and how often. Zero values mean the defaults.
type Config struct {
	// Servers are asked in order, the next one when one does not answer; empty: those of /etc/resolv.conf, which is read each time.
	Servers []netip.AddrPort
	// MinTTL and MaxTTL bound how long an answer counts, whatever it says; default 1 s and 5 min.
	MinTTL, MaxTTL time.Duration
	// Timeout bounds the wait for one server; default 2 s.
	Timeout time.Duration
	// Refuse says what is wrong with an address for a backend, empty: nothing; nil: whatever a host can have is taken.
	Refuse func(netip.AddrPort) string
	// Dial connects to a server, by "udp" or "tcp"; nil: with the sockets of this host.
	Dial func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// Name is a host name whose addresses are followed.
type Name struct {
	Host string // absolute, in lower case, without a dot at the end
	Port uint16
	Pool string
	// Backends get one address each. Which one depends on the answer and on their names alone, so that all nodes agree. Those for
	// which there is none are not in use.
	Backends []string
}

// Report is told where a backend is now. No address and a reason: its name has never been resolved. No address and no reason: there
// are fewer addresses than backends. It is called by several goroutines, for each backend by one, and must not block.
type Report func(pool, backend string, at netip.AddrPort, reason string)

// What zero means.
const (
	DefaultMinTTL  = time.Second
	DefaultMaxTTL  = 5 * time.Minute
	DefaultTimeout = 2 * time.Second
)

const (
	// MaxBackends bounds Name.Backends.
	MaxBackends = 64
	// firstRetry and lastRetry bound the wait after a failure, which doubles each time.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

func (c Config) withDefaults() Config {
	if c.MinTTL <= 0 {
		c.MinTTL = DefaultMinTTL
	}
	if c.MaxTTL <= 0 {
		c.MaxTTL = DefaultMaxTTL
	}
	c.MaxTTL = max(c.MaxTTL, c.MinTTL)
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Refuse == nil {
		c.Refuse = func(netip.AddrPort) string { return "" }
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, to.String())
		}
	}
	return c
}
