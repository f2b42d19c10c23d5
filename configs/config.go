package configs

import (
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/notify"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/accesslog"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/resolve"
	"github.com/tandem-lb/tandem/vip"
)

// Config is a checked configuration: what `tandem run` runs. Every default is filled in.
type Config struct {
	Node      string
	StateDir  string
	RunDir    string
	Log       Log
	Cluster   cluster.Config
	VIP       vip.Config
	Listeners []proxy.ListenerConfig
	Drain     time.Duration
	Pools     []Pool
	Track     Track
	Admin     Admin
	Notify    []notify.Hook
	AccessLog accesslog.Config
	Resolver  resolve.Config
}

// Log says how to log.
type Log struct {
	Level  string // trace, debug, info, warn, error
	Format string // text or json
}

// Pool is one pool with the way its backends are probed.
type Pool struct {
	pool.Config
	Health health.Config
	Names  []resolve.Name // of backends whose addresses are found by name
}

// Admin says where the command line reaches the daemon.
type Admin struct {
	Socket string // path of the Unix socket
}
