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
	Quiet bool
	// Check runs the wire check until the wish no longer asks for it.
	Check bool
	// Reason is for the log.
	Reason string
}

// State is what is so. It is a copy.
type State struct {
	Holds     bool // every address is on the link and the gate is open: others can reach it here
	Quiet     bool // up, but silent on ARP and ND
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
	Sightings []Sighting
	Readded   int // how often a VIP had to be put back since the start
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
