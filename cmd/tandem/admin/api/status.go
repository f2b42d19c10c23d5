package api

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
)

// Schema is the version of the JSON below. Fields may be added under the same number; a field that is renamed,
// removed or changes its meaning raises it.
const Schema = 1

// Status is all that a node tells about itself: the answer to GET /v1/status and the output of `tandem status --json`.
//
// Lists are never null. Times are RFC 3339; one that never was is left out. Names that end in _ms are milliseconds.
type Status struct {
	Schema  int       `json:"schema"`  // Schema
	At      time.Time `json:"at"`      // when this was put together
	Node    string    `json:"node"`    // the name of the node that answers
	Version string    `json:"version"` // of its software
	Boot    string    `json:"boot"`    // 16 hexadecimal digits, new at every start of the daemon
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // when the daemon started

	State      State     `json:"state"`       // what this node is
	Since      time.Time `json:"since"`       // since when
	Reason     string    `json:"reason"`      // why, in a sentence
	ReasonCode string    `json:"reason_code"` // why, in one word that stays the same: for scripts
	Term       uint64    `json:"term"`        // of this node's present or last claim
	Rank       int       `json:"rank"`        // how unfit this node is for relative reasons; 0 is best
	Reach      int       `json:"reach"`       // further unfitness, for backends that it does not reach; compared between equal configurations
	Unfitness  string    `json:"unfitness"`   // what is wrong with this node, in a sentence; empty: nothing
	Priority   int       `json:"priority"`

	Maintenance bool   `json:"maintenance"`    // an operator keeps this node from leading
	ByHand      bool   `json:"by_hand"`        // it leads because an operator said so
	Doing       string `json:"doing,omitzero"` // what an operator asked for, and is under way

	Leader      string    `json:"leader"`                // who holds, as far as this node knows; empty: nobody
	LeaderSince time.Time `json:"leader_since,omitzero"` // since when, as far as this node knows

	Gate      string     `json:"gate"` // "nftables", or why a hung daemon is not silenced at once
	VIPs      []VIP      `json:"vips"`
	Peers     []Peer     `json:"peers"`
	Quorum    *Quorum    `json:"quorum,omitempty"` // left out in pair mode
	Listeners []Listener `json:"listeners"`
	Pools     []Pool     `json:"pools"`
	Tracked   []Tracked  `json:"tracked"`
	Failovers []Failover `json:"failovers"` // the last ones, at most MaxFailovers, newest first
	Warnings  []string   `json:"warnings"`  // what is not as it should be, each a sentence
}

// MaxFailovers bounds Status.Failovers.
const MaxFailovers = 10

// State says what a node is.
type State string

// What a node can be.
const (
	Leader        State = "leader"      // it holds the VIP
	Standby       State = "standby"     // fit, and it waits
	Claiming      State = "claiming"    // it was decided that it holds, and the VIP is not up yet
	Handing       State = "handing"     // it holds, and is giving the VIP to a peer
	Settling      State = "settling"    // it listens after its start
	InMaintenance State = "maintenance" // an operator keeps it from leading
	Unfit         State = "unfit"       // it may not lead; Reason says why
	Leaving       State = "leaving"     // it was asked to stop
	Witness       State = "witness"     // it votes, and never leads
)

// Quorum is what a node knows of the votes.
type Quorum struct {
	Voters   int    `json:"voters"`   // configured
	Majority int    `json:"majority"` // of them must agree
	Heard    int    `json:"heard"`    // of them this node hears, itself included, and is heard by
	Granted  bool   `json:"granted"`  // a majority lets this node hold
	Votes    []Vote `json:"votes"`
	// Missing are the voters that this node is not in touch with, each with what is wrong.
	Missing []string `json:"missing"`
}

// Vote is that of one voter.
type Vote struct {
	Voter string `json:"voter"`
	To    string `json:"to"` // whom it was granted to last; empty: nobody
}

// VIP is one virtual address.
type VIP struct {
	Address   string    `json:"address"`   // with its prefix length
	Interface string    `json:"interface"` // the link it is held on
	Held      bool      `json:"held"`      // the fact: it is on the link of this node, and others can reach it
	Since     time.Time `json:"since,omitzero"`
	Problem   string    `json:"problem,omitzero"` // why it is not as it was decided
}

// Peer is one other node, as this node sees it.
type Peer struct {
	Name        string    `json:"name"` // empty: configured, and never heard of
	Address     string    `json:"address"`
	State       PeerState `json:"state"`
	LastHeardMS float64   `json:"last_heard_ms"` // how long ago its newest beat came; -1: never
	Holds       bool      `json:"holds"`         // from its newest beat, as are the next ones
	Fit         bool      `json:"fit"`
	Maintenance bool      `json:"maintenance"` // an operator keeps it from leading
	ByHand      bool      `json:"by_hand"`     // it leads because an operator said so
	Rank        int       `json:"rank"`
	Term        uint64    `json:"term"`
	HearsUs     bool      `json:"hears_us"`
	Priority    int       `json:"priority"`
	Version     string    `json:"version"`           // empty: not known
	Witness     bool      `json:"witness,omitempty"` // it votes, and never leads
	// ConfigDiffers: what must be equal on all nodes is not equal here and there.
	ConfigDiffers bool `json:"config_differs"`

	MACs       []string `json:"macs"`        // of the links that it holds VIPs on, as it says; in the order of the smallest VIP of each
	Paths      []Path   `json:"paths"`       // the ways to it: that of cluster.bind, then those of cluster.paths
	MirroredMS float64  `json:"mirrored_ms"` // how long ago the newest beat came that only a mirror delivered; -1: never
}

// Path is one way between this node and a peer.
type Path struct {
	Bind          string  `json:"bind"`             // here
	Address       string  `json:"address"`          // there
	HeardMS       float64 `json:"heard_ms"`         // how long ago the peer was heard this way; -1: never
	HeardByPeerMS float64 `json:"heard_by_peer_ms"` // how long before its newest beat the peer had heard this node this way, as it says; -1: never, long, or not known
	Broken        bool    `json:"broken"`           // silent for too long in one direction or both
}

// PeerState says what a node makes of a peer.
type PeerState string

// What a peer can be.
const (
	PeerUnknown PeerState = "unknown" // configured, and never heard since this node's start
	PeerAlive   PeerState = "alive"
	PeerSilent  PeerState = "silent"  // no beats; why, nobody told
	PeerCrashed PeerState = "crashed" // its process died, its host lives
	PeerLeft    PeerState = "left"    // it said goodbye
)

// Listener is one place where clients connect.
type Listener struct {
	Name     string `json:"name"`
	Bind     string `json:"bind"`
	Protocol string `json:"protocol"` // tcp, http or udp
	Pool     string `json:"pool"`
	Open     bool   `json:"open"`
	Error    string `json:"error,omitzero"` // why it is not open
	Active   int64  `json:"active"`         // sessions or connections now
	Accepted uint64 `json:"accepted"`       // since the start
}

// Pool is a set of backends.
type Pool struct {
	Name     string    `json:"name"`
	Balance  string    `json:"balance"`
	Forced   bool      `json:"forced"`  // too few are up to be true: some serve although they are down
	Waiting  int       `json:"waiting"` // clients in the queue, for all backends are full
	Backends []Backend `json:"backends"`
}

// Backend is one server, as this node's probes see it.
type Backend struct {
	Name    string       `json:"name"`
	Address string       `json:"address"`
	State   BackendState `json:"state"`
	Since   time.Time    `json:"since,omitzero"`
	Reason  string       `json:"reason"` // what the newest probe found
	ProbeMS float64      `json:"probe_ms"`
	Active  int64        `json:"active"` // sessions now
	Max     int          `json:"max"`    // sessions at one time; zero: no bound
	Backup  bool         `json:"backup"` // serves only while no other can
	Weight  int          `json:"weight"` // its share of the traffic: as configured, or as set by hand
	Total   uint64       `json:"total"`  // sessions and requests since the start
	// Failures are those of Total that failed by the backend's fault; Ejected says that they keep it out of rotation now.
	Failures uint64  `json:"failures"`
	Ejected  bool    `json:"ejected"`
	ByHand   *ByHand `json:"by_hand,omitempty"` // what an operator has set; left out: nothing
}

// ByHand is what an operator has set for a backend, on whichever node, until it is reset.
type ByHand struct {
	State  string    `json:"state"`           // ready, drain or maint
	Weight int       `json:"weight,omitzero"` // left out: as configured
	Reason string    `json:"reason,omitzero"` // in the operator's words
	Since  time.Time `json:"since"`
}

// BackendState says what is known of a backend.
type BackendState string

// What a backend can be.
const (
	Unchecked BackendState = "unchecked" // not probed, or no verdict yet: gets traffic
	Up        BackendState = "up"
	Down      BackendState = "down"
)

// Tracked is something besides backends that makes a node more or less fit.
type Tracked struct {
	Kind     string       `json:"kind"` // interface, gateway, script, process, file, self-test
	Name     string       `json:"name"`
	State    TrackedState `json:"state"`
	Since    time.Time    `json:"since,omitzero"`
	Reason   string       `json:"reason"`   // what the newest check found
	Weight   int          `json:"weight"`   // points of unfitness while it fails
	Absolute bool         `json:"absolute"` // this node does not lead while it fails
	CheckMS  float64      `json:"check_ms"` // how long the newest check took
}

// TrackedState says what is known of a tracked thing.
type TrackedState string

// What a tracked thing can be.
const (
	NotChecked TrackedState = "unchecked" // no verdict yet, or a gateway that has never answered: does not count
	Well       TrackedState = "ok"
	Failing    TrackedState = "failing"
)

// Failover is one move of the VIP that this node saw or made.
type Failover struct {
	At   time.Time `json:"at"`   // when the new holder had announced the VIP
	Kind MoveKind  `json:"kind"` // planned or not
	From string    `json:"from"` // empty: nobody held before
	To   string    `json:"to"`
	Why  string    `json:"why"` // in a sentence
	Term uint64    `json:"term"`
	// Cause says what happened to From, Noticed how this node knew, Steps what was done and how long each took.
	Cause   string         `json:"cause"`
	Noticed string         `json:"noticed"`
	Steps   []journal.Step `json:"steps"`
	// Blackout is how long no process served clients, Nobody how long no kernel answered for the VIP, Dual how long two did: from what the node
	// knows by itself, as {"min_ms": …, "max_ms": …}. Without max_ms nobody can say how long at most.
	Blackout journal.Span `json:"blackout"`
	Nobody   journal.Span `json:"nobody"`
	Dual     journal.Span `json:"dual"`
	// TookMS is the time from the last sign of life of the old holder (for a handover: from the order) to the
	// announcement by the new one.
	TookMS float64 `json:"took_ms"`
}

// MoveKind tells planned moves of the VIP from unplanned ones.
type MoveKind string

// The kinds of moves.
const (
	First    MoveKind = "first"    // nobody had held before
	Takeover MoveKind = "failover" // the old holder failed
	Handover MoveKind = "handover" // planned: the old holder lived and gave
)

// Complete fills in what every answer has: the schema, and empty lists instead of null ones. It bounds Failovers.
func (s *Status) Complete() {
	s.Schema = Schema
	s.VIPs = orEmpty(s.VIPs)
	s.Peers = orEmpty(s.Peers)
	for i := range s.Peers {
		s.Peers[i].Paths = orEmpty(s.Peers[i].Paths)
		s.Peers[i].MACs = orEmpty(s.Peers[i].MACs)
	}
	if s.Quorum != nil {
		s.Quorum.Votes, s.Quorum.Missing = orEmpty(s.Quorum.Votes), orEmpty(s.Quorum.Missing)
	}
	s.Listeners = orEmpty(s.Listeners)
	s.Pools = orEmpty(s.Pools)
	for i := range s.Pools {
		s.Pools[i].Backends = orEmpty(s.Pools[i].Backends)
	}
	s.Tracked = orEmpty(s.Tracked)
	s.Failovers = orEmpty(s.Failovers[:min(len(s.Failovers), MaxFailovers)])
	for i := range s.Failovers {
		s.Failovers[i].Steps = orEmpty(s.Failovers[i].Steps)
	}
	s.Warnings = orEmpty(s.Warnings)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Problem is the body of every answer that is not 200.
type Problem struct {
	Error string `json:"error"`
	Code  string `json:"code,omitzero"` // of a Refusal: one word that stays the same, for scripts
}
