package election

// Reason says why, in a word or two that logs, status and explain use. String gives the sentence.
type Reason string

// Reasons to hold. As long as a node holds, its Decision keeps the reason of the claim.
const (
	ReasonVacant    Reason = "nobody-holds"       // the peers are heard and none holds
	ReasonCrashed   Reason = "peer-crashed"       // the process of the last holder is dead
	ReasonLeft      Reason = "peer-left"          // the last holder said bye
	ReasonSilence   Reason = "peer-silent"        // the last holder is silent and nobody answers on the wire
	ReasonAlone     Reason = "alone"              // no peer was heard since the start and nobody answers on the wire
	ReasonForeign   Reason = "foreign-answers"    // silence; who answers on the wire is no peer, and did so for longer than a lease can last
	ReasonUnclaimed Reason = "unclaimed"          // the peer that does not hear this node should have claimed and did not
	ReasonElected   Reason = "elected"            // a majority of the voters has granted its votes
	ReasonOrdered   Reason = "handover"           // the leader ordered this node to take over
	ReasonByHand    Reason = "by-hand"            // an operator said that this node leads
	ReasonHolds     Reason = "holds"              // it holds, and why it claimed is not known: the Memo was not handed back
	ReasonMeeting   Reason = "meeting"            // a peer holds too, and it is the peer that has to let go
	ReasonHanding   Reason = "handing-over"       // a peer was ordered, or is to be ordered, to take over and does not hold yet
	ReasonCancelled Reason = "handover-cancelled" // the peer did not take over in time: this node claims anew, with a newer term
)

// Reasons not to hold, or to let go.
const (
	ReasonLinkDown     Reason = "link-down"    // the VIP's link has no carrier, is down, or has no own address
	ReasonMaintenance  Reason = "maintenance"  // an operator keeps this node from leading
	ReasonUnfit        Reason = "unfit"        // an absolute reason
	ReasonLate         Reason = "late"         // this process or its gate was not served for longer than the failover time: others may have claimed
	ReasonLeaving      Reason = "leaving"      // the process was asked to stop
	ReasonSettling     Reason = "settling"     // listening after the start
	ReasonPeerHolds    Reason = "peer-holds"   // a peer that is heard holds
	ReasonHandedOver   Reason = "handed-over"  // the peer that was ordered to take over holds
	ReasonLostServed   Reason = "met-served"   // met another holder: clients reached it while the nodes did not hear each other
	ReasonLostTerm     Reason = "met-term"     // met another holder, whose term is newer
	ReasonLostPriority Reason = "met-priority" // met another holder with the same term and a higher priority
	ReasonLostName     Reason = "met-name"     // met another holder, equal but for the smaller name
	ReasonLostUnheard  Reason = "met-unheard"  // met another holder that does not hear this node, and so cannot be the one to let go
	ReasonUnheard      Reason = "unheard"      // a peer does not hear this node but hears others: it will claim
	ReasonChecking     Reason = "checking"     // the wire check is not over, or a peer's next beat is awaited
	ReasonDeaf         Reason = "deaf"         // this node hears nobody on the link, so silence proves nothing
	ReasonPathBroken   Reason = "path-broken"  // the last holder is silent but answers on the wire: the path is broken, not the peer
	ReasonForeignWait  Reason = "foreign-wait" // somebody who is no peer answers on the wire: waiting as long as a lease can last
	ReasonInUse        Reason = "in-use"       // somebody answers on the wire, and may be a peer that was never heard since the start
	ReasonTelling      Reason = "telling"      // about to claim on silence, and telling a peer that may hear this node
	ReasonWitness      Reason = "witness"      // this node votes and never holds
	ReasonNoQuorum     Reason = "no-quorum"    // this node has not, or cannot get, the votes of a majority
	ReasonVoting       Reason = "voting"       // asked for the votes, which are not all there: the last holder's lease may still run
	ReasonBetter       Reason = "better-peer"  // a better candidate should claim; waiting in case it does not
)

// Ordered reports whether a claim for this reason follows an order of the leader.
func (r Reason) Ordered() bool { return r == ReasonOrdered || r == ReasonByHand }

// String says the reason in a sentence that can follow "because".
func (r Reason) String() string {
	switch r {
	case ReasonVacant:
		return "nobody holds"
	case ReasonCrashed:
		return "the leader's process died"
	case ReasonLeft:
		return "the leader said goodbye"
	case ReasonSilence:
		return "the leader is silent and nobody answers on the wire"
	case ReasonAlone:
		return "no peer was heard and nobody answers on the wire"
	case ReasonForeign:
		return "the leader is silent, and a stranger has answered on the wire for longer than a lease lasts"
	case ReasonUnclaimed:
		return "the peer that should have claimed did not"
	case ReasonOrdered:
		return "the leader ordered a handover"
	case ReasonByHand:
		return "an operator handed the VIP over"
	case ReasonHolds:
		return "this node holds"
	case ReasonMeeting:
		return "the other holder has to let go"
	case ReasonHanding:
		return "the VIP is being handed over"
	case ReasonCancelled:
		return "the peer did not take over in time"
	case ReasonLinkDown:
		return "the link is down"
	case ReasonMaintenance:
		return "this node is in maintenance"
	case ReasonUnfit:
		return "this node is unfit"
	case ReasonLate:
		return "this node overslept and others may have claimed"
	case ReasonLeaving:
		return "this node is stopping"
	case ReasonSettling:
		return "this node has just started and listens"
	case ReasonPeerHolds:
		return "a peer holds"
	case ReasonHandedOver:
		return "the peer has taken over"
	case ReasonLostServed:
		return "the other holder served the clients"
	case ReasonLostTerm:
		return "the other holder has a newer term"
	case ReasonLostPriority:
		return "the other holder has a higher priority"
	case ReasonLostName:
		return "the other holder has the smaller name"
	case ReasonLostUnheard:
		return "the other holder does not hear this node"
	case ReasonUnheard:
		return "a peer does not hear this node and will claim"
	case ReasonChecking:
		return "the wire is being checked"
	case ReasonDeaf:
		return "this node hears nobody on the link"
	case ReasonPathBroken:
		return "the silent leader answers on the wire"
	case ReasonForeignWait:
		return "a stranger answers on the wire"
	case ReasonInUse:
		return "somebody answers on the wire who may be a peer that was never heard"
	case ReasonTelling:
		return "the others must hear first that this node is about to claim"
	case ReasonElected:
		return "a majority of the voters granted it"
	case ReasonWitness:
		return "this node is a witness: it votes and never leads"
	case ReasonNoQuorum:
		return "the votes of a majority are missing"
	case ReasonVoting:
		return "the votes were asked for, and a majority has not granted them yet"
	case ReasonBetter:
		return "a better candidate should claim"
	}
	return string(r)
}
