package pool

import (
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/proxy/proxyheader"
)

// Balance names a way of picking a backend.
type Balance string

const (
	// RoundRobin is the smooth weighted round-robin (nginx's): the default.
	RoundRobin Balance = "round-robin"
	// LeastConn picks the backend with the fewest connections for its weight; ties go round.
	LeastConn Balance = "least-conn"
	// P2C draws two backends and picks the one that promises the sooner answer: by its recent worst latency
	// (peak EWMA), times the connections that it has, by weight.
	P2C Balance = "p2c"
	// Random draws one by weight.
	Random Balance = "random"
	// SourceHash sends a client address to the same backend always (rendezvous hashing). When a backend comes or
	// goes, only its own clients move. Picking looks at every backend.
	SourceHash Balance = "source-hash"
	// Maglev does what SourceHash does by a table, so picking costs the same however many backends there are. A few
	// clients of other backends move, too, when one comes or goes.
	Maglev Balance = "maglev"
)

// ByClient reports whether the backend depends on who asks.
func (b Balance) ByClient() bool { return b == SourceHash || b == Maglev }

// OnDown names what happens to the sessions of a backend that goes down.
type OnDown string

const (
	// OnDownReset ends them at once, so that clients come back and reach a living backend: the default.
	OnDownReset OnDown = "reset"
	// OnDownDrain lets them go on, for backends whose probe may fail while their old sessions still work.
	OnDownDrain OnDown = "drain"
)

// Config describes one pool.
type Config struct {
	Name     string
	Balance  Balance // zero: RoundRobin
	Backends []BackendConfig
	// Unprobed says that nothing probes the backends. Others that come by a reload get traffic when the first probe has found them up.
	Unprobed bool
	// ConnectTimeout bounds one attempt to connect to a backend; zero: 1 s. Longer waits for slow
	// networks, shorter moves on to another backend sooner.
	ConnectTimeout time.Duration
	OnDown         OnDown // zero: OnDownReset
	Ejection       Ejection
	Retries        Retries
	// BoundedLoad bounds the connections of a backend to so many percent of its share; who is beyond it goes to
	// another backend. For SourceHash and Maglev; zero: no bound. Less spreads better, more keeps more clients where they were.
	BoundedLoad int
	// SlowStart is how long the share of a backend that has come back grows, from a tenth to the whole; zero: it gets
	// its share at once. SourceHash and Maglev do not know it: it would move clients all the time.
	SlowStart time.Duration
	// Panic is the percentage of backends under which verdicts are not believed, and all get traffic; zero: never.
	Panic int
	// KeepAtLeast is how many backends get traffic at least, whatever probes say: those that failed last; zero: none has to.
	KeepAtLeast int
	// MaxRequests bounds the uses of all backends together at one time; zero: no bound.
	MaxRequests int
	// QueueSize bounds who waits for a backend while all have MaxConns, or the pool has MaxRequests; zero: nobody waits.
	QueueSize int
	// QueueTimeout bounds how long.
	QueueTimeout time.Duration
	// Cookie is the name of the cookie by which a client comes back to its backend; empty: none.
	Cookie string
	// Secret, the same on all nodes, keys hashes and cookies, so that clients can neither aim at a backend nor read its
	// name; empty: they can.
	Secret []byte
	// ProxyProtocol is the version of the PROXY header that each connection to a backend begins with, so that the backend learns
	// where the client came from; zero: none. HTTP requests of different clients then share no connections.
	ProxyProtocol proxyheader.Version
	// HTTP2 says that requests go to the backends by HTTP/2: many at a time over one connection. Without TLS the backends must know so
	// beforehand, with it they must offer it (ALPN).
	HTTP2 bool
	// TLS is how backends are spoken to; nil: plain.
	TLS *TLS
}

// BackendConfig describes one backend.
type BackendConfig struct {
	Name    string
	Address netip.AddrPort
	// Host and Port are where it is instead of Address, if it is known by name: it is not available until SetAddress says where.
	Host   string
	Port   uint16
	Weight int // 1..256; zero means 1
	// Backup gets traffic only while no backend is available that is none.
	Backup bool
	// MaxConns bounds its uses at one time: TCP sessions, HTTP requests; zero: no bound.
	MaxConns int
}
