package vip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

const (
	askEvery  = 30 * time.Second // third parties, while nothing is wrong
	maxOthers = 8                // third parties that are asked
	staleFor  = 5 * time.Minute  // silence of a third party, while others are heard, after which it counts as moved away
)

// others are the hosts on the link that are neither this one nor a peer. Whether one of them is heard tells a silent peer from a deaf self.
type others struct {
	targets []netip.Addr             // whom to ask
	known   map[netip.Addr]neighbour // who answered when asked
	at      time.Time                // when any third party was last heard
	any     time.Time                // when any host, a peer included, was last heard
}

type neighbour struct {
	mac announce.MAC
	at  time.Time
}

// heard takes a frame from another host. mine are this host's addresses that questions were asked from.
func (o *others) heard(c announce.Claim, peer bool, mine []netip.Addr, now time.Time) {
	o.any = now
	if peer {
		return
	}
	o.at = now
	if c.Reply && slices.Contains(mine, c.To) && slices.Contains(o.targets, c.Addr) {
		if o.known == nil {
			o.known = make(map[netip.Addr]neighbour)
		}
		o.known[c.Addr] = neighbour{c.MAC, now} // bounded by the targets
	}
}

// forget drops those who are a peer's after all, and those who have been silent for long while the link was not. Without the second condition a host that has
// gone deaf would, in time, take itself for one that never had neighbours.
func (o *others) forget(isPeer func(announce.MAC) bool, now time.Time) {
	for a, n := range o.known {
		if isPeer(n.mac) || now.Sub(n.at) > staleFor && now.Sub(o.any) < askEvery {
			delete(o.known, a)
		}
	}
}

// aim sets whom to ask: first the configured ones, then those who answered, then what the kernel's table offers.
func (o *others) aim(configured, offered []netip.Addr) {
	var t []netip.Addr
	put := func(a netip.Addr) {
		if a.IsValid() && len(t) < maxOthers && !slices.Contains(t, a) {
			t = append(t, a)
		}
	}
	for _, a := range configured {
		put(a)
	}
	for _, a := range o.targets {
		if _, ok := o.known[a]; ok {
			put(a)
		}
	}
	for _, a := range offered {
		put(a)
	}
	for a := range o.known {
		if !slices.Contains(t, a) {
			delete(o.known, a)
		}
	}
	o.targets = t
}

// mac returns where a third party was last seen.
func (o *others) mac(a netip.Addr) (announce.MAC, bool) {
	n, ok := o.known[a]
	return n.mac, ok
}
