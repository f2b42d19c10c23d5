package vip

import (
	"maps"
	"net"
	"net/netip"

	"github.com/tandem-lb/tandem/vip/link"
)

// Link returns the state of the VIPs' link, and the third parties that have answered on it lately, with their hardware addresses.
func (k *Keeper) Link() (link.Fact, map[netip.Addr]net.HardwareAddr) {
	k.in.mu.Lock()
	f := k.in.fact
	known := maps.Clone(k.in.others.known)
	k.in.mu.Unlock()
	macs := make(map[netip.Addr]net.HardwareAddr, len(known))
	for a, n := range known {
		macs[a] = n.mac.HardwareAddr()
	}
	return f, macs // the fact is replaced as a whole, never changed
}
