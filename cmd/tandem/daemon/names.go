package daemon

import (
	"net/netip"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/resolve"
)

// newResolver returns what follows the names of backends.
func newResolver(w World, cfg *configs.Config, pools *pool.Set, log hclog.Logger) *resolve.Resolver {
	return resolve.New(resolverConfig(w, cfg), backendNames(cfg), pools.SetAddress, log)
}

func resolverConfig(w World, cfg *configs.Config) resolve.Config {
	c := cfg.Resolver
	c.Dial = w.DialName
	c.Refuse = func(at netip.AddrPort) string { return ownListener(cfg, at) }
	return c
}

func backendNames(cfg *configs.Config) []resolve.Name {
	var names []resolve.Name
	for _, p := range cfg.Pools {
		names = append(names, p.Names...)
	}
	return names
}

// ownListener says that an address is this cluster itself, to which connections would go round in a loop; empty: it is not.
func ownListener(cfg *configs.Config, at netip.AddrPort) string {
	own := []netip.Addr{cfg.Cluster.Bind.Addr()}
	for _, v := range cfg.VIP.All() {
		own = append(own, v.Addr())
	}
	for _, p := range cfg.Cluster.Peers {
		own = append(own, p.Addr())
	}
	for _, l := range cfg.Listeners {
		wildcard := l.Bind.Addr().IsUnspecified() && l.Bind.Port() == at.Port() && slices.Contains(own, at.Addr())
		if l.Bind == at || wildcard {
			return "is the listener " + l.Name + " of this cluster"
		}
	}
	return ""
}
