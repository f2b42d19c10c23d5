package election

import "time"

// Policy is what the operator set. It does not change between two decisions, except by a reload. A duration that is
// zero or negative means its default, except Settle and PreemptDelay, where zero means zero.
type Policy struct {
	Name         string // this node
	Priority     int    // 1..254, larger is preferred
	Preempt      bool
	PreemptDelay time.Duration
	Failover     time.Duration // silence after which a peer counts as gone; default 200 ms
	Settle       time.Duration // listening time after the start
	Stagger      time.Duration // further wait per better-ranked candidate, when nobody holds; default Failover/4
	Handover     time.Duration // how long an ordered handover may take before it is cancelled; default 50 ms
	ReachHold    time.Duration // how long a peer must be fitter by Reach before the VIP moves to it for that; default 5 s
	// Quorum has a claim wait for the votes of a majority of Voters nodes, this one included. Witness: this node votes and never holds.
	Quorum      bool
	Witness     bool
	Voters      int
	ForeignWait time.Duration // how long a strange answer on the wire delays a claim: the address lease and a margin; default 2.5 s
}

// View is all that a node knows at one moment. Times are of this process's monotonic clock; zero means never.
type View struct {
	Self  Self
	Peers []Peer // in any order; nodes that neither beats nor gossip have told of since the start are absent, without beats HeardAt is zero
	Wire  Wire
	// Expected is the number of configured peers: with none, nobody needs to be waited for.
	Expected int
	// Memo is the Memo of the previous Decision, handed back unchanged; the zero Memo at the start.
	Memo Memo
}

// Self is what a node knows about itself.
type Self struct {
	Started time.Time // the election loop's first turn
	Holds   bool      // fact: the VIP is on the link and the gate is open
	Wish    bool      // the previous Decision's Hold
	WishAt  time.Time // when Wish last changed
	Term    uint64    // the term of the present or last claim of this node; survives restarts
	Newest  uint64    // the newest term seen anywhere, own included; survives restarts
	LinkUp  bool      // carrier and administratively up, own address present
	Fit     bool      // false only for an absolute reason (link down, later: maintenance, lost quorum)
	Rank    int       // how unfit this node is for relative reasons; 0 is best
	Reach   int       // how unfit it is further for reasons that count only when they have lasted, such as what it does not reach
	// GrantedTill is until when the votes of a majority allow this node to hold, if no more come; zero or past: no majority. Unused without Quorum.
	GrantedTill time.Time
	LateAt      time.Time // when this process last noticed that it, or its gate, had not been served for longer than Failover
	ClientAt    time.Time // when a client came last, as far as this node has noticed; zero: none since the start
	// Served: client frames for the VIP came in while a peer was silent. It stays true until this node lets go, or hears every peer and none
	// of them holds: both sides of a meeting compare it, so it must not fall while they meet.
	Served  bool
	Leaving bool // the process was asked to stop: hand over or release
	// Maintenance: an operator keeps this node from leading.
	Maintenance bool
	Word        Word   // what an operator wants of this node as the leader; may stay here for ever, Decide knows when it is void
	Take        Take   // the newest order from a leader to take over; may stay here for ever, Decide knows when it is void
	Giving      Giving // the newest order that this node, as the leader, gave; may stay here for ever too
}

// Word is an operator's word that another node should lead.
type Word struct {
	To string // who should lead: a peer, or this node itself, which then stays
	At time.Time
	// ByHand: the VIP is to stay with To. False: To is only where it goes for now, as before maintenance.
	ByHand bool
}

// Take is an order to take over, received over the peer stream.
type Take struct {
	From string
	Term uint64 // the term to claim with
	At   time.Time
	// ByHand: it is an operator's word that this node leads.
	ByHand bool
}

// Giving is an order to take over that this node sent.
type Giving struct {
	To   string
	Term uint64
	At   time.Time
}

// Peer is what is known of another node.
type Peer struct {
	Name     string
	Member   bool      // the gossip's opinion: alive
	HeardAt  time.Time // when its newest beat arrived, moved forward by this node's own oversleep
	Crashed  bool      // its stream ended and its VIP listener refused: the process is dead. False again with the next beat.
	Left     bool      // it said bye and has not been heard since
	Priority int

	// From its newest beat; stale when HeardAt is.
	Holds       bool
	Term        uint64 // of its present or last claim
	Newest      uint64 // the newest term that it knows
	Fit         bool
	Rank        int
	Reach       int
	Wants       bool          // it would take over by preemption (see Decision.Wants)
	HearsMe     bool          // it has heard this node within its own half budget
	DeafFor     time.Duration // how long it has not heard this node
	HearsOthers bool          // it hears third parties on the VIP's link, or there never were any: not Wire.Deaf
	Served      bool
	Late        bool // its Decision.Late
	Answered    bool // its Decision.Answered
	Settling    bool // not its Decision.Settled
	Leaving     bool // it was asked to stop
	Maintenance bool // an operator keeps it from leading
	ByHand      bool // its Decision.ByHand
	Witness     bool // it never holds
	Votes       bool // it holds by votes only: Policy.Quorum
	Voter       bool // it is of this node's own voters
	Quorate     bool // its Decision.Quorate
	Stands      bool // its Decision.Stands
	Yields      bool // its Decision.Yields
	FavoursMe   bool // its Decision.Favours is this node
}

// Wire is what the check of the wire (ARP and ND probes for the VIPs) says. It runs while a Decision asks for it.
type Wire struct {
	Since      time.Time // when the running check began; zero: not running
	Probes     int       // probes in a row, up to the newest whose time to answer is over, that nobody answered
	PeerAt     time.Time // last answer from a MAC that a peer has published
	PeerName   string
	ForeignAt  time.Time // last answer from any other MAC
	ForeignMAC string
	// Deaf: third parties on the link have answered before, were asked since the check began, and none has been heard since it began.
	Deaf bool
}

// Decision is what should be. It is idempotent: the same view at the same time gives the same decision.
type Decision struct {
	Hold   bool
	Term   uint64 // to claim or hold with; 0 when not holding
	Reason Reason
	Peer   string // the peer that the reason is about, if any
	Check  bool   // run the wire check
	HandTo string // the peer that should take over now; ask it, and keep holding until it holds
	// HandTerm is the term to put into that order, and into Self.Giving and Self.Newest.
	HandTerm uint64
	// HandByHand goes into the order: it is an operator's word that HandTo leads.
	HandByHand bool
	ByHand     bool // this node holds because an operator said so: told by beat
	// Stands: this node would lead if a majority lets it: told by beat. Favours is whom its vote should go to, if it is free: told by beat.
	Stands  bool
	Favours string
	// Ask the voters for their votes, which binds them. Who holds, or is to hold, asks all the time.
	Ask bool
	// Quorate: this node hears a majority of its voters, itself included, and is heard by them: told by beat.
	Quorate  bool
	Wants    bool      // this node would take over by preemption: told to the leader by beat
	Settled  bool      // false while the node still listens after its start: told by beat
	Late     bool      // this node let go because it was late and has not claimed since: told by beat
	Yields   bool      // a peer that does not hear this node is about to claim, so it will not: told by beat
	Answered bool      // a peer that may be silent answers on the wire, so this node will not claim: told by beat
	Wake     time.Time // ask again at this moment at the latest; zero: only when something changes
	// Memo goes into the next View, unchanged.
	Memo Memo
}
