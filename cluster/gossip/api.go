package gossip

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// Config describes the membership.
type Config struct {
	Node  string
	Name  string // the cluster's name: memberlist's label
	Bind  netip.AddrPort
	Peers []netip.AddrPort
	Key   []byte // 32 bytes; nil: not encrypted
	// Rejoin is the time between attempts to join while a configured peer is missing; zero: 400 ms.
	Rejoin time.Duration
	// Transport carries packets and streams; nil: UDP and TCP sockets on Bind. Run shuts it down. For tests and simulations, see gossiptest.
	Transport memberlist.NodeAwareTransport
}

// Meta is what a node tells the others about itself; it changes seldom. Encoded it is at most 512 bytes.
type Meta struct {
	Boot       uint64
	Version    string // of the software, at most 32 bytes
	Protocol   uint8  // of beats and stream; nodes that differ do not understand each other
	Priority   uint8
	Term       uint64
	Holds      bool
	Fit        bool
	MACs       []net.HardwareAddr // of the VIP's link; at most 8
	ConfigHash uint64             // of what must be equal on all nodes
}

// Member is one other node.
type Member struct {
	Name  string
	Addr  netip.AddrPort
	Meta  Meta
	Since time.Time // in this state
	State State
}

// State is the gossip's opinion of a member.
type State string

// The states of a member.
const (
	Alive   State = "alive"
	Suspect State = "suspect"
	Lost    State = "lost" // gone without a word
	Left    State = "left" // said goodbye
)
