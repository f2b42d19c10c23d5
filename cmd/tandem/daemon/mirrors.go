package daemon

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/mirror"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip"
)

// newMirror makes what bounces beats off third parties; nil if that is not wanted. pls is what takes the beats that come in; it is there by then.
func newMirror(w World, cfg *configs.Config, keeper *vip.Keeper, pls **pulse.Pulse, log hclog.Logger) *mirror.Mirror {
	if cfg.Cluster.NoMirrors || len(cfg.Cluster.Peers) == 0 {
		return nil
	}
	return mirror.New(mirror.Config{
		Peers: peerAddresses(cfg), Mirrors: mirrors(cfg), Open: w.Mirror,
		Link:      func() mirror.Link { return linkOf(keeper, cfg) },
		Receive:   func(beat []byte, from netip.AddrPort, at time.Time) { (*pls).Receive(beat, from, at) },
		Delivered: func() uint64 { return (*pls).Stats().Mirrored },
	}, log)
}

// mirrors are the candidates: those that were chosen, or the gateway and the backends.
func mirrors(cfg *configs.Config) []netip.Addr {
	if len(cfg.Cluster.Mirrors) > 0 {
		return cfg.Cluster.Mirrors
	}
	var as []netip.Addr
	for _, a := range append([]netip.Addr{cfg.VIP.Gateway}, cfg.VIP.Neighbours...) {
		if a.IsValid() && !slices.Contains(as, a) {
			as = append(as, a)
		}
	}
	return as
}

// peerAddresses lists, for each peer, where it can be reached.
func peerAddresses(cfg *configs.Config) [][]netip.Addr {
	all := make([][]netip.Addr, len(cfg.Cluster.Peers))
	for i, p := range cfg.Cluster.Peers {
		all[i] = append(all[i], p.Addr())
		for _, w := range cfg.Cluster.Paths {
			if i < len(w.Peers) && w.Peers[i].IsValid() {
				all[i] = append(all[i], w.Peers[i].Addr())
			}
		}
	}
	return all
}

// linkOf is what mirrors need to know of the VIPs' link. The VIPs themselves are no addresses of this host.
func linkOf(k *vip.Keeper, cfg *configs.Config) mirror.Link {
	f, known := k.Link()
	l := mirror.Link{Index: f.Index, MAC: f.MAC, Neighbours: known}
	for _, a := range f.Addrs {
		virtual := slices.ContainsFunc(cfg.VIP.All(), func(v netip.Prefix) bool { return v.Addr() == a.Prefix.Addr() })
		if !virtual && !a.Tentative {
			l.Own = append(l.Own, a.Prefix)
		}
	}
	return l
}

// beatPaths are the further paths, as the pulse wants them.
func beatPaths(cfg *configs.Config) []pulse.Path {
	var ps []pulse.Path
	for _, w := range cfg.Cluster.Paths {
		ps = append(ps, pulse.Path{Bind: w.Bind, Peers: w.Peers})
	}
	return ps
}

// streamPaths are the same for the streams.
func streamPaths(cfg *configs.Config) []peer.Path {
	var ps []peer.Path
	for _, w := range cfg.Cluster.Paths {
		ps = append(ps, peer.Path{Bind: w.Bind, Peers: w.Peers})
	}
	return ps
}
