package cluster

import (
	"net/netip"
	"time"
)

// Config describes this node's place in the cluster.
type Config struct {
	Node string // this node's name; unique in the cluster
	Name string // the cluster's name (memberlist label): two clusters on one segment need two; default "tandem"
	// Bind is where gossip listens (UDP and TCP); beats (UDP) and the peer stream (TCP) use the next port.
	Bind  netip.AddrPort
	Peers []netip.AddrPort // the others' Bind
	// Paths are further ways to the peers that beats go over too; at most 3.
	Paths []Path
	// Mirrors are hosts off which beats are bounced while no path to a peer works; empty: the gateway and on-link backends. NoMirrors: never.
	Mirrors   []netip.Addr
	NoMirrors bool
	// KeyFile holds one base64 line of 32 bytes, shared by all nodes; exactly one of KeyFile and Insecure is set.
	KeyFile  string
	Insecure bool
	// Quorum has the nodes vote: nobody holds without the votes of a majority of this node and its peers. The same on all nodes.
	Quorum bool
	// Witness: this node only votes; it has no VIP, and needs no privileges.
	Witness  bool
	Priority int // 1..254; default 100; larger is preferred
	// Preempt lets this node take over from a leader of lower priority after PreemptDelay (default 30 s). Off by default: a returning node changes nothing.
	Preempt      bool
	PreemptDelay time.Duration
	// Failover is how long a peer may be silent before it counts as gone: 50 ms..10 s; default 200 ms. Beats go out every Failover/14.
	Failover time.Duration
	// Settle is how long a starting node listens before it may claim; default 1 s.
	Settle time.Duration
}

// Path is a further pair of addresses for beats and the peer stream.
type Path struct {
	Bind  netip.AddrPort
	Peers []netip.AddrPort // the i-th is another address of Config.Peers[i]; the zero value: that peer is not on this path
}
