package pulse

import (
	"net/netip"
	"time"
)

// Config describes the beats.
type Config struct {
	Node  string
	Boot  uint64           // random, new at every start
	Bind  netip.AddrPort   // UDP
	Peers []netip.AddrPort // where the others' beats are received
	Key   []byte           // 32 bytes; nil: unauthenticated (insecure)
	Every time.Duration    // between beats; Failover/14
	// Failover is the silence budget: HearsMe is false after half of it; an oversleep of this thread is added to it.
	Failover time.Duration
	// Tick runs on the beat thread just before each beat is sent, and must not block: it renews the gate. When it returns false no beat is sent
	// (the election loop is stuck, or the gate is lost): who cannot be trusted must not sound alive.
	Tick func(now time.Time) bool

	// Paths are further pairs of addresses, such as those of a cable of its own, that every beat goes over as well; at most MaxPaths-1.
	Paths []Path
	// Mirror, if set, is given every beat after it was sent, with the set of the peers (bit i for Peers[i]) that it should reach by third parties
	// too, because no path to them works in both directions; often the empty set. It is called on the beat thread: it must not block, and copies the data.
	Mirror func(beat []byte, peers uint16)

	// Votes has beats carry votes; nil: pair mode.
	Votes *Votes

	// Cluster is the cluster's name; nodes of clusters with other names ignore each other. May be empty.
	Cluster string
	// Transport carries the datagrams; nil: a UDP socket on Bind, served by a thread with real-time priority where that is allowed.
	Transport Transport
}

// MaxPaths is how many paths between two nodes there can be.
const MaxPaths = 4

// Path is one more pair of addresses for each peer.
type Path struct {
	Bind  netip.AddrPort
	Peers []netip.AddrPort // the i-th is another address of Config.Peers[i]; invalid: that peer is not on this path
}

// Beat is what one node tells the others every few milliseconds. All of it is a fact, none of it a wish (Wants aside).
type Beat struct {
	Node        string
	Boot        uint64
	Seq         uint64
	Term        uint64
	Newest      uint64
	Priority    uint8
	Rank        uint16
	Slow        uint16 // further unfitness, for what is looked at now and then
	Reach       uint16 // further unfitness, for backends that the sender does not reach; compares only between equal configurations
	Holds       bool
	Fit         bool
	Wants       bool
	HearsOthers bool
	Served      bool
	Late        bool
	Leaving     bool
	Answered    bool // the sender sees a silent peer answer on the wire, so it will not claim
	Refuses     bool // a listener of the sender is not open
	Settling    bool // the sender still listens after its start
	Maintenance bool // an operator keeps the sender from leading
	ByHand      bool // the sender holds because an operator said so
	Witness     bool // the sender votes and never holds
	Quorate     bool // the sender hears a majority of its voters and is heard by them
	Stands      bool // the sender would lead if a majority lets it
	Yields      bool // the sender leaves the claim to others, because one of them does not hear it and is about to claim
	// Vote is filled in by Pulse, but for Favours. In a beat that is published its Plea is a wish: Ask, if the voters are to be asked.
	Vote Vote
}

// Peer is what is known of one peer from its beats.
type Peer struct {
	Beat    Beat
	Addr    netip.AddrPort
	HeardAt time.Time // arrival of the newest valid beat by the kernel's receive time, moved forward by own oversleep
	// ArrivedAt is when the newest valid beat really arrived: never moved. It tells whether a beat came after another event.
	ArrivedAt time.Time
	HearsMe   bool
	DeafFor   time.Duration // how long the peer has not heard this node, as it says itself
	// Paths are the ways to it: the first is that of Config.Peers, then those of Config.Paths.
	Paths []PathState
	// MirroredAt is when the newest beat came that only a mirror delivered; zero: never.
	MirroredAt time.Time
}

// PathState is what is known of one way between this node and a peer.
type PathState struct {
	HeardAt time.Time // when the peer was last heard this way; zero: never
	// DeafFor is how long the peer has not heard this node this way, as it says itself; negative: not known; a minute or more: long, or never.
	DeafFor time.Duration
}

// Snapshot is the state of all peers ever heard since the start, by name. It is a copy.
type Snapshot map[string]Peer
