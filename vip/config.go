package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Config describes the virtual addresses of this node. All of them move together, whatever links they are on.
type Config struct {
	Interface string
	Addresses []netip.Prefix
	// Gateway, if valid, is told by unicast and asked as a third party. Optional.
	Gateway netip.Addr
	// More are further links with addresses of their own. Optional. They should be the same on all nodes, in any order, though their names may differ.
	More []Link
	// Lease is how long the kernel keeps the addresses of a daemon that no longer renews them: whole seconds, at least 2; default 2 s.
	// More forgives longer pauses on hosts without nftables; less silences a hung daemon there sooner.
	Lease time.Duration
	// Failover is the gate's timeout and equals the silence after which a peer claims; default 200 ms.
	Failover time.Duration
	// Votes has every lease that lets the VIP be found (by ARP and ND) prolonged by votes only: see Keeper.Vote. It needs a gate.
	Votes bool
	// Refresh is the time between announcements while holding; default 60 s; negative: never.
	Refresh time.Duration
	// Neighbours are further on-link addresses (backends) that may be asked, to tell a dead peer from a deaf self. Optional.
	Neighbours []netip.Addr
	// RunDir is where the record of what this daemon has put into the kernel is kept. Two daemons on one host need two.
	RunDir string
	// Node names the daemon; it marks the gate's tables.
	Node string
}

// Link is an interface with the virtual addresses that belong on it.
type Link struct {
	Interface string
	Addresses []netip.Prefix
	Gateway   netip.Addr // as Config's
}

// Links returns all links in the order of their smallest addresses, which is the same on every node: so the n-th MAC of a peer belongs to the n-th link.
func (c Config) Links() []Link {
	all := append([]Link{{c.Interface, c.Addresses, c.Gateway}}, c.More...)
	slices.SortFunc(all, func(a, b Link) int { return a.smallest().Compare(b.smallest()) })
	return all
}

// All returns the addresses of all links, those of Config.Addresses first.
func (c Config) All() []netip.Prefix {
	all := slices.Clone(c.Addresses)
	for _, l := range c.More {
		all = append(all, l.Addresses...)
	}
	return all
}

func (c Config) vips() []netip.Addr {
	var vips []netip.Addr
	for _, p := range c.All() {
		vips = append(vips, p.Addr())
	}
	return vips
}

func (l Link) smallest() (least netip.Addr) {
	for i, p := range l.Addresses {
		if i == 0 || p.Addr().Less(least) {
			least = p.Addr()
		}
	}
	return least
}

func (c Config) defaults() Config {
	if c.Lease == 0 {
		c.Lease = 2 * time.Second
	}
	if c.Failover == 0 {
		c.Failover = 200 * time.Millisecond
	}
	if c.Refresh == 0 {
		c.Refresh = time.Minute
	}
	c.Addresses = slices.Clone(c.Addresses)
	c.Neighbours = slices.Clone(c.Neighbours)
	c.More = slices.Clone(c.More)
	for i := range c.More {
		c.More[i].Addresses = slices.Clone(c.More[i].Addresses)
	}
	return c
}

func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	links, addresses := map[string]bool{}, map[netip.Addr]bool{}
	for _, l := range c.Links() {
		switch {
		case l.Interface == "":
			bad("vip: no interface is set")
		case links[l.Interface]:
			bad("vip: the interface %s is listed twice", l.Interface)
		}
		links[l.Interface] = true
		if len(l.Addresses) == 0 {
			bad("vip: no addresses are set for the interface %s", l.Interface)
		}
		for _, p := range l.Addresses {
			a := p.Addr()
			if !p.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
				bad("vip: %s cannot be a virtual address", p)
			}
			if addresses[a] {
				bad("vip: %s is listed twice", a)
			}
			addresses[a] = true
		}
	}
	if c.Lease < 2*time.Second || c.Lease%time.Second != 0 {
		bad("vip: a lease of %s, must be whole seconds and at least 2s", c.Lease)
	}
	if c.Failover < 10*time.Millisecond {
		bad("vip: a failover time of %s, must be at least 10ms", c.Failover)
	}
	if c.RunDir == "" {
		bad("vip: no run directory is set")
	}
	return errors.Join(errs...)
}
