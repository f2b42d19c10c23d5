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

// Config describes one pool.
type Config struct {
	Name     string
	Balance  Balance // zero: RoundRobin
	Backends []BackendConfig
	// ConnectTimeout bounds one attempt to connect to a backend; zero: 1 s. Longer waits for slow
	// networks, shorter moves on to another backend sooner.
	ConnectTimeout time.Duration
}

// BackendConfig describes one backend.
type BackendConfig struct {
	Name    string
	Address netip.AddrPort
	Weight  int // 1..256; zero means 1
}
