package configs

import (
	"reflect"
)

// LoadNext is Load for a process that runs already: what differs from the running configuration and cannot be changed while it runs is wrong, too.
func LoadNext(path string, running *Config) (*Config, []Warning, error) {
	data, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	return ParseNext(path, data, ThisHost(), running)
}

// ParseNext is Parse for a process that runs already.
func ParseNext(name string, data []byte, host Host, running *Config) (*Config, []Warning, error) {
	return parseWith(name, data, host, func(r *report, f *fileConfig, next *Config) { r.fixed(f, running, next) })
}

// restart is what to do about most of what cannot be changed.
const restart = "restart this node for it (a leader hands the VIP over first: systemctl restart tandem)"

// fixed reports what differs and cannot.
func (r *report) fixed(f *fileConfig, running, next *Config) {
	was, is := running.Cluster, next.Cluster
	for _, k := range []struct {
		key      string
		at       place
		was, is  any
		together bool // on all nodes
	}{
		{"node", f.Node.place, running.Node, next.Node, false},
		{"state_dir", f.StateDir.place, running.StateDir, next.StateDir, false},
		{"run_dir", f.RunDir.place, running.RunDir, next.RunDir, false},
		{"log.format", f.Log.Format.place, running.Log.Format, next.Log.Format, false},
		{"cluster.name", f.Cluster.Name.place, was.Name, is.Name, true},
		{"cluster.bind", f.Cluster.Bind.place, was.Bind, is.Bind, false},
		{"cluster.peers", f.Cluster.Peers.place, was.Peers, is.Peers, false},
		{"cluster.paths", f.Cluster.Paths.place, was.Paths, is.Paths, false},
		{"cluster.mirrors", f.Cluster.Mirrors.place, [2]any{was.Mirrors, was.NoMirrors}, [2]any{is.Mirrors, is.NoMirrors}, false},
		{"cluster.key_file", f.Cluster.KeyFile.place, was.KeyFile, is.KeyFile, false},
		{"cluster.insecure", f.Cluster.Insecure.place, was.Insecure, is.Insecure, true},
		{"cluster.quorum", f.Cluster.Quorum.place, was.Quorum, is.Quorum, true},
		{"cluster.witness", f.Cluster.Witness.place, was.Witness, is.Witness, false},
		{"cluster.failover", f.Cluster.Failover.place, was.Failover, is.Failover, true},
		{"cluster.settle", f.Cluster.Settle.place, was.Settle, is.Settle, false},
		{"vip.interface", f.VIP.Interface.place, running.VIP.Interface, next.VIP.Interface, false},
		{"vip.addresses", f.VIP.Addresses.place, running.VIP.Addresses, next.VIP.Addresses, true},
		{"vip.more", f.VIP.More.place, running.VIP.More, next.VIP.More, true},
		{"vip.lease", f.VIP.Lease.place, running.VIP.Lease, next.VIP.Lease, true},
		{"vip.refresh", f.VIP.Refresh.place, running.VIP.Refresh, next.VIP.Refresh, false},
		{"vip.gateway", f.VIP.Gateway.place, running.VIP.Gateway, next.VIP.Gateway, false},
		{"track", f.Track.place, running.Track, next.Track, false},
		{"admin.socket", f.Admin.Socket.place, running.Admin, next.Admin, false},
	} {
		if reflect.DeepEqual(k.was, k.is) {
			continue
		}
		at := k.at
		if at.key = k.key; at.line == 0 { // the key is not there: the default is another than what runs
			at.line, at.col = 1, 1
		}
		also := ""
		if k.together {
			also = ", one node after the other, the standby first"
		}
		r.bad(at, "cannot be changed while the node runs; %s%s", restart, also)
	}
}
