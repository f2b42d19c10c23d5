package pool

import (
	"net/netip"
	"time"
)

// Balance names a way of picking a backend.
type Balance string

const (
	// RoundRobin is the smooth weighted round-robin (nginx's): the default.
	RoundRobin Balance = "round-robin"
	// LeastConn picks the backend with the fewest connections for its weight; ties go round.
	LeastConn Balance = "least-conn"
)

// OnDown names what happens to the sessions of a backend that goes down.
type OnDown string

const (
	// Reset ends them at once, so that clients come back and reach a living backend: the default.
	Reset OnDown = "reset"
	// Keep leaves them alone, for backends whose probe may fail while their old sessions still work.
	Keep OnDown = "keep"
)

// Config describes one pool.
type Config struct {
	Name     string
	Balance  Balance // zero: RoundRobin
	Backends []BackendConfig
	// ConnectTimeout bounds one attempt to connect to a backend; zero: 1 s. Longer waits for slow
	// networks, shorter moves on to another backend sooner.
	ConnectTimeout time.Duration
	OnDown         OnDown // zero: Reset
}

// BackendConfig describes one backend.
type BackendConfig struct {
	Name    string
	Address netip.AddrPort
	Weight  int // 1..256; zero means 1
}
