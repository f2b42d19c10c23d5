package vip

import (
	"net"
	"net/netip"
	"time"
)

// Wish is what the election wants. It is level, not edge: the newest wish counts.
type Wish struct {
	Hold bool
	Term uint64
	// Quiet, with Hold: have the addresses up and answer IP, but neither answer nor announce by ARP and ND. The two sides of a handover.
	// A host without a gate cannot be quiet: State.Quiet stays false there.
	Quiet bool
	// After, with Hold, is the node whose clients this one takes over while it lives: connections that did not begin here are passed on to it, for
	// passTime at most. It is heeded by a claim; on a host without nftables they are reset.
	After string
	// Check runs the wire check until the wish no longer asks for it.
	Check bool
	// Leader, without Hold, is the node that is known to hold; empty: none, or more than one. Now and then it is found out whether it is the one that answers.
	Leader string
	// Reason is for the log.
	Reason string
}

// State is what is so. It is a copy.
type State struct {
	Holds     bool      // every address is on the link and the gate lets IP pass: who knows the way is served here
	Quiet     bool      // with Holds: silent on ARP and ND
	QuietAt   time.Time // with Quiet: the last moment at which ARP or ND may have been answered
	Term      uint64
	Since     time.Time
	LinkUp    bool   // carrier, administratively up, an own address present
	LinkWhy   string // when not LinkUp: what is missing
	MACs      []net.HardwareAddr
	Wire      Wire
	LostAt    time.Time // when the gate last lapsed without having been asked to (the daemon was late)
	Gate      string    // "nftables", or why there is none
	Took      Took      // of the last claim
	Err       error     // why the wish is not yet the fact
	Barred    error     // why this node could not claim now although the link is up: a VIP is on it for good; nil while it holds
	Sightings []Sighting
	Readded   int    // how often a VIP had to be put back since the start
	Contested string // why another node should hold: somebody on this host keeps removing the VIPs; empty: nobody does
	Strays    []Stray
	Strangers []Stranger // gates of other names that silence a VIP here

	// OthersAt is when a third party (neither this node nor a peer) was last heard on the link; OthersKnown is false if none ever answered there.
	OthersAt    time.Time
	OthersKnown bool
	// Announced is when the addresses were last announced, and how often since the start.
	AnnouncedAt time.Time
	Announced   int
}

// Took says how long the steps of the last claim took.
type Took struct{ Add, Gate, Announce time.Duration }

// Sighting is somebody else who answered for a VIP while this node held it.
type Sighting struct {
	Addr netip.Addr
	MAC  net.HardwareAddr
	At   time.Time
}

// Wire is the result of the running wire check.
type Wire struct {
	Since      time.Time // zero: not running
	Probes     int       // rounds in a row, up to the newest whose time to answer is over, in which nobody answered for any VIP
	PeerAt     time.Time // last answer from a MAC of a peer
	PeerMAC    net.HardwareAddr
	ForeignAt  time.Time
	ForeignMAC net.HardwareAddr
	Deaf       bool // third parties answered before, were asked since the check began, and none was heard since
}

// Verdict is what a TCP connection attempt to a listener at a peer's MAC came to.
type Verdict uint8

const (
	// NoAnswer: nothing came back in time.
	NoAnswer Verdict = iota
	// Refused: the host answers and nobody listens: the process is dead.
	Refused
	// Accepted: the listener is there.
	Accepted
)

func (v Verdict) String() string {
	switch v {
	case Refused:
		return "refused"
	case Accepted:
		return "accepted"
	}
	return "no answer"
}
