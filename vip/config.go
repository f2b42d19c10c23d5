package vip

import (
	"net/netip"
	"time"
)

// Config describes the virtual addresses of this node. All of them move together.
type Config struct {
	Interface string
	Addresses []netip.Prefix
	// Lease is how long the kernel keeps the addresses of a daemon that no longer renews them: whole seconds, at least 2; default 2 s.
	// More forgives longer pauses on hosts without nftables; less silences a hung daemon there sooner.
	Lease time.Duration
	// Failover is the gate's timeout and equals the silence after which a peer claims; default 200 ms.
	Failover time.Duration
	// Refresh is the time between announcements while holding; default 60 s; negative: never.
	Refresh time.Duration
	// Gateway, if valid, is told by unicast and asked as a third party. Optional.
	Gateway netip.Addr
	// Neighbours are further on-link addresses (backends) that may be asked, to tell a dead peer from a deaf self. Optional.
	Neighbours []netip.Addr
	// RunDir is where the record of what this daemon has put into the kernel is kept. Two daemons on one host need two.
	RunDir string
	// Node names the daemon; it marks the gate's tables.
	Node string
}
