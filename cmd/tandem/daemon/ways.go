package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
)

// brokenAfter is how long a path must have been silent, in either direction, before that is a warning.
const brokenAfter = time.Second

// paths are the ways to a peer, as its beats came by them.
func paths(cfg *configs.Config, p pulse.Peer, now time.Time) []api.Path {
	binds := []netip.AddrPort{next(cfg.Cluster.Bind)}
	peers := [][]netip.AddrPort{nextAll(cfg.Cluster.Peers)}
	for _, w := range cfg.Cluster.Paths {
		binds, peers = append(binds, w.Bind), append(peers, w.Peers)
	}
	i := slices.Index(peers[0], p.Addr)
	if i < 0 && len(peers[0]) == 1 {
		i = 0
	}
	var out []api.Path
	for n, s := range p.Paths[:min(len(p.Paths), len(binds))] {
		if i < 0 || i >= len(peers[n]) || !peers[n][i].IsValid() {
			continue
		}
		a := api.Path{Bind: binds[n].String(), Address: peers[n][i].String(), HeardMS: -1, HeardByPeerMS: -1}
		if !s.HeardAt.IsZero() {
			a.HeardMS = msOf(now.Sub(s.HeardAt))
		}
		const never = time.Minute // what the wire can say is little more
		if s.DeafFor >= 0 && s.DeafFor < never {
			a.HeardByPeerMS = msOf(s.DeafFor)
			if age := now.Sub(p.HeardAt); !p.HeardAt.IsZero() && age > brokenAfter {
				a.HeardByPeerMS += msOf(age) // it said so in its last beat, which is that old
			}
		}
		a.Broken = a.HeardMS < 0 || a.HeardMS > msOf(brokenAfter) || s.DeafFor > brokenAfter
		out = append(out, a)
	}
	return out
}

func msOf(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// brokenPaths warns of the paths to peers that are heard by another way.
func (r *reporter) brokenPaths(peers []api.Peer) []string {
	var w []string
	for _, p := range peers {
		broken := 0
		for _, x := range p.Paths {
			if x.Broken && p.State == api.PeerAlive {
				broken++
				w = append(w, fmt.Sprintf("the path %s to %s of %s is broken: %s; look at cables, switches and firewalls on it", x.Bind, x.Address, p.Name, directions(x)))
			}
		}
		if broken > 0 && broken == len(p.Paths) && r.mirror != nil {
			w = append(w, fmt.Sprintf("no path to %s works: beats are carried by mirrors (%s) only, and no handover is possible", p.Name, addresses(r.mirror.State().Mirrors)))
		}
	}
	return w
}

func directions(p api.Path) string {
	limit := msOf(brokenAfter)
	in, out := p.HeardMS < 0 || p.HeardMS > limit, p.HeardByPeerMS < 0 || p.HeardByPeerMS > limit
	switch {
	case in && out:
		return "nothing passes"
	case in:
		return "nothing comes in, though what is sent arrives"
	}
	return "nothing that is sent arrives"
}

func addresses(as []netip.Addr) string {
	var s []string
	for _, a := range as {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}
