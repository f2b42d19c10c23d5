package cluster

import (
	"context"
	"net"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// Wish is what this node wants of its VIP. It is level, not edge: the newest wish counts.
type Wish struct {
	Hold   bool
	Term   uint64
	Quiet  bool   // with Hold: answer IP but neither answer nor announce by ARP and ND
	After  string // with Hold: the node whose clients are taken over while it lives
	Check  bool   // run the wire check
	Leader string // without Hold: who is known to hold, if one does
	Reason string
}

// Facts is what is so of this node's VIP.
type Facts struct {
	Holds   bool      // up, reachable, and answering ARP and ND
	Quiet   bool      // up and answering IP, but silent on ARP and ND
	QuietAt time.Time // with Quiet: since when
	LinkUp  bool
	LinkWhy string
	LostAt  time.Time // when the gate last lapsed
	Took    Took      // of the last claim
	MACs    []net.HardwareAddr
	Wire    election.Wire // PeerName is filled in by the node
	PeerMAC net.HardwareAddr
	// OthersKnown says that third parties have answered on the link; OthersAt is when one was last heard.
	OthersKnown bool
	OthersAt    time.Time
}

// Took says how long the steps of a claim took.
type Took struct{ Add, Gate, Announce time.Duration }

// VIP is the part that turns wishes into facts. None of its methods but Confirm may block.
type VIP interface {
	Want(Wish)
	Facts() Facts
	Changed() <-chan struct{}
	// Confirm asks whether the process on the node with these MACs still accepts for the VIP. It blocks until it knows or ctx ends.
	Confirm(ctx context.Context, macs []net.HardwareAddr) (Verdict, error)
	// Point tells the segments that the VIPs are now at a node with these MACs.
	Point(macs []net.HardwareAddr) error
	// Announce tells the segment again that the VIP is here.
	Announce(reason string)
	SetPeers(map[string][]net.HardwareAddr)
}

// Verdict is the answer to Confirm.
type Verdict int

// What a question to a peer's listener came to.
const (
	NoAnswer Verdict = iota
	Accepted         // a process listens there
	Refused          // the host lives, the process does not
)

// Traffic is what this node needs to know of the forwarding part.
type Traffic interface {
	Active() int      // requests and connections in flight
	Accepted() uint64 // clients accepted since the start
	SetClosing(bool)  // whether answers ask clients to come back by a new connection
	Reset()           // end all client connections with a reset, so that their owners learn at once
}

// Pulse is where beats come from and go to.
type Pulse interface {
	Publish(pulse.Beat)
	Snapshot() pulse.Snapshot
	Changed() <-chan struct{}
}

// Votes is where the votes of this node and of the others are counted.
type Votes interface {
	// Granted is until when a majority lets this node hold; zero or past: it does not.
	Granted() time.Time
	// Granting is the life that this node's own vote is granted to; 0: nobody.
	Granting() uint64
	// Hurry sends a beat now: something that the voters wait for has become a fact.
	Hurry()
}

// Streams is where messages of other nodes come from and go to.
type Streams interface {
	Send(ctx context.Context, node string, m peer.Message) error
	Inbox() <-chan peer.Message
	States() map[string]peer.State
	Changed() <-chan struct{}
}

// Gossip is who the members are.
type Gossip interface {
	SetMeta(gossip.Meta)
	Snapshot() []gossip.Member
	Changed() <-chan struct{}
}

// Fitness says whether this node may lead, and how well.
type Fitness struct {
	Fit  bool
	Rank int
	// Slow is further unfitness, which counts when it has lasted.
	Slow int
	// Reach is slow, too: for what this node does not reach. It is told to all and compared only between nodes of equal configuration.
	Reach int
	// Refuses: a listener is not open, so that a peer that finds nobody there must not take this node for dead.
	Refuses bool
	Why     string
}
