package pulse

import "sync/atomic"

// Cause says what became of a datagram.
type Cause uint8

const (
	// Fine is a beat that was heard.
	Fine Cause = iota
	// Learnt is a genuine beat of a life of a peer that has not yet proved to be present: it is answered, and changes nothing.
	Learnt
	// Old is a beat that is not newer than one heard before: reordered, doubled or replayed.
	Old
	// Retired is a beat of an earlier life of a peer.
	Retired
	// Oversized datagrams are longer than any beat.
	Oversized
	// Malformed datagrams are no beats at all, or damaged.
	Malformed
	// OtherVersion is a beat of another version of the protocol.
	OtherVersion
	// OtherKey is a beat sealed with another key.
	OtherKey
	// NoKey is a beat of a node that runs without a key, while this one has one, or the reverse.
	NoKey
	// OtherCluster is a beat of a cluster with another name.
	OtherCluster
	// Forged is a beat with this cluster's key id and a wrong seal.
	Forged
	// OwnName is a beat of somebody else with this node's name.
	OwnName
	// OwnBoot is a beat of somebody else with this node's boot id.
	OwnBoot
	// Mirrored is a beat of this node that came back.
	Mirrored
	// Crowded is a beat of one node too many.
	Crowded

	causes // their number
)

// Stats counts since the start.
type Stats struct {
	Sent       uint64 // datagrams
	SendFailed uint64
	Withheld   uint64 // beats that Tick did not allow
	Overrun    uint64 // datagrams given to Receive faster than they were taken
	Mirrored   uint64 // genuine beats of peers that came by mirrors, heard or not
	By         [causes]uint64
}

// Heard is the number of beats heard.
func (s Stats) Heard() uint64 { return s.By[Fine] }

// counters are Stats while they grow: written by the beat thread, read by anybody.
type counters struct {
	sent, sendFailed, withheld, overrun, mirrored atomic.Uint64
	by                                            [causes]atomic.Uint64
}

func (c *counters) stats() Stats {
	s := Stats{
		Sent: c.sent.Load(), SendFailed: c.sendFailed.Load(),
		Withheld: c.withheld.Load(), Overrun: c.overrun.Load(), Mirrored: c.mirrored.Load(),
	}
	for i := range c.by {
		s.By[i] = c.by[i].Load()
	}
	return s
}
