package vip

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/tandem-lb/tandem/vip/link"
)

// Link returns the state of the first link, Config.Interface, and the third parties that have answered on it lately, with their hardware addresses.
func (k *Keeper) Link() (link.Fact, map[netip.Addr]net.HardwareAddr) {
	k.in.mu.Lock()
	first := slices.IndexFunc(k.links, func(l Link) bool { return l.Interface == k.cfg.Interface })
	f := k.in.links[first].fact
	known := maps.Clone(k.in.links[first].others.known)
	k.in.mu.Unlock()
	macs := make(map[netip.Addr]net.HardwareAddr, len(known))
	for a, n := range known {
		macs[a] = n.mac.HardwareAddr()
	}
	return f, macs // the fact is replaced as a whole, never changed
}
