package configs

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
)

// stopTime is what tandem.service leaves of its TimeoutStopSec=45s for the drain.
const stopTime = 40 * time.Second

// checker turns what is written into what is meant, and reports what cannot be meant.
type checker struct {
	*report
	host Host

	// What has been read so far and where it stands, for the checks of one thing against another.
	bind      located[netip.AddrPort]
	paths     []located[netip.AddrPort] // their binds
	mirrors   []located[netip.Addr]
	peers     []located[netip.AddrPort]
	vips      []located[netip.Prefix]
	listeners []located[proxy.ListenerConfig]
	backends  []located[netip.AddrPort]
	pools     []located[string]
	used      []located[string] // pools that listeners name
	sticky    []located[string] // pools that have a cookie
	headed    map[string]bool   // pools that send PROXY headers
	muxed     map[string]bool   // pools whose backends speak HTTP/2
	guessed   map[string]bool   // pools whose probes nobody has chosen
}

// located is a value and where it stands. The place of a value that is absent is its block's.
type located[T any] struct {
	place
	v T
}

// config converts the whole file.
func (c *checker) config(f *fileConfig) *Config {
	cfg := &Config{
		Node:     c.node(f.Node),
		StateDir: c.path(f.StateDir, "/var/lib/tandem"),
		RunDir:   c.path(f.RunDir, "/run/tandem"),
		Drain:    c.duration(f.Drain, span{min: 100 * time.Millisecond, max: time.Hour, def: 30 * time.Second}),
		Log: Log{
			Level:  choice(c, f.Log.Level, "info", "trace", "debug", "info", "warn", "error"),
			Format: choice(c, f.Log.Format, "text", "text", "json"),
		},
	}
	cfg.Cluster = c.cluster(&f.Cluster)
	cfg.Cluster.Node = cfg.Node
	cfg.Admin.Socket = c.socket(f.Admin.Socket, cfg.RunDir)
	c.dirs(f, cfg)
	if cfg.Cluster.Witness {
		c.witness(f)
		return cfg
	}
	cfg.VIP = c.vip(&f.VIP, cfg.Cluster.Failover)
	cfg.VIP.Node, cfg.VIP.RunDir = cfg.Node, cfg.RunDir
	cfg.Pools = c.readPools(&f.Pools)
	cfg.Resolver = c.resolver(&f.Resolver)
	cfg.Listeners = c.readListeners(&f.Listeners)
	cfg.Track = c.track(&f.Track, cfg)
	cfg.Notify = c.notify(f)
	cfg.AccessLog = c.accessLog(f)
	if cfg.Drain > stopTime {
		c.warn(f.Drain.place, "%s is longer than tandem.service waits for a stop (45s): systemd would kill the daemon; raise TimeoutStopSec= to %s or more (systemctl edit tandem)",
			brief(cfg.Drain), brief(cfg.Drain+5*time.Second))
	}
	c.cross(f)
	cfg.VIP.Neighbours = neighbours(cfg)
	return cfg
}

// node is this node's name, by default the host's.
func (c *checker) node(s scalar) string {
	if s.set {
		return c.name(s)
	}
	at := place{line: 1, col: 1, key: "node"}
	if c.host.Name == nil {
		c.bad(at, "is missing; write this node's name, which no other node of the cluster has")
		return ""
	}
	name, err := c.host.Name()
	switch {
	case err != nil:
		c.bad(at, "is missing, and the host's name, its default, cannot be read: %v", err)
	case name == "localhost" || strings.HasPrefix(name, "localhost."):
		c.bad(at, "is missing, and the host's name, its default, is %s, as on many hosts; write a name that no other node of the cluster has", show(name))
	case !validName(name):
		c.bad(at, "is missing, and the host's name, its default, is %s, which cannot name a node; allowed: %s", show(name), nameRule)
	default:
		return name
	}
	return ""
}

func (c *checker) socket(s scalar, runDir string) string {
	socket := c.path(s, filepath.Join(runDir, "tandem.sock"))
	at, longest := s.place, 107 // sun_path of unix(7), less its final zero
	if !s.set {
		at = place{line: 1, col: 1, key: "run_dir"}
	}
	if len(socket) > longest {
		c.bad(at, "the socket's path %s has %d bytes; allowed: at most %d", show(socket), len(socket), longest)
	}
	return socket
}

// dirs checks the two directories against what they are for.
func (c *checker) dirs(f *fileConfig, cfg *Config) {
	if f.StateDir.ok() && within(cfg.StateDir, "/run", "/var/run", "/dev/shm", "/tmp") {
		c.warn(f.StateDir.place, "%s is emptied at a reboot; the highest term and the operator's settings are kept here: better on a disk, such as /var/lib/tandem", cfg.StateDir)
	}
	if cfg.StateDir == cfg.RunDir {
		at := f.StateDir.place
		if !f.StateDir.set {
			at = f.RunDir.place
		}
		c.warn(at, "state_dir and run_dir are the same directory; state_dir should survive a reboot and run_dir should not")
	}
}

func within(path string, dirs ...string) bool {
	for _, d := range dirs {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

// neighbours are backends that may be asked, to tell a dead peer from a deaf self: the first few of the VIPs' families.
func neighbours(cfg *Config) []netip.Addr {
	const most = 8 // more say nothing more
	var v4, v6 bool
	seen := make(map[netip.Addr]bool)
	for _, p := range cfg.VIP.All() {
		v4, v6 = v4 || p.Addr().Is4(), v6 || p.Addr().Is6()
		seen[p.Addr()] = true
	}
	seen[cfg.Cluster.Bind.Addr()] = true
	for _, g := range gateways(cfg.VIP) {
		seen[g] = true
	}
	for _, p := range cfg.Cluster.Peers {
		seen[p.Addr()] = true
	}
	var as []netip.Addr
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			a := b.Address.Addr()
			if len(as) < most && !seen[a] && !a.IsLoopback() && (a.Is4() && v4 || a.Is6() && v6) {
				seen[a] = true
				as = append(as, a)
			}
		}
	}
	return as
}
