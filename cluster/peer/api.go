package peer

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Config describes the streams.
type Config struct {
	Node      string
	Boot      uint64
	Bind      netip.AddrPort   // TCP
	Peers     []netip.AddrPort // the others' Bind
	Key       []byte           // 32 bytes; nil: unauthenticated
	Keepalive time.Duration    // zero: 10 s

	// Paths are further pairs of addresses. A stream goes over one path at a time; when it ends, the next one is tried.
	Paths []Path

	// Cluster is the cluster's name; nodes of clusters with other names refuse each other. May be empty.
	Cluster string
	// Share gets the messages of the kinds Share and Shared, on the goroutine that reads the stream: it must not block. nil: they are dropped.
	Share func(Message)
	// Listen and Dial make the connections; nil: TCP from and to Bind and the paths, on the highest descriptors (see RaiseFD).
	Listen func(ctx context.Context) (net.Listener, error)
	Dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Path is one more pair of addresses for each peer.
type Path struct {
	Bind  netip.AddrPort
	Peers []netip.AddrPort // the i-th is another address of Config.Peers[i]; invalid: that peer is not on this path
}

// Kind names a message.
type Kind uint8

// What nodes say to each other.
const (
	Bye    Kind = iota + 1 // this process is about to stop; silence after it is not a crash
	Take                   // take the VIP over, with Term; Data says whether by hand
	Ready                  // answer to Take: the VIP is up here with Term, and silent on ARP and ND until Go
	Go                     // answer to Ready: the sender has stopped answering ARP and ND
	Cancel                 // the order is void; Term is the new one of the sender
	Ping
	Word   // an operator's word for the node that leads, in Data
	Answer // what came of it, in Data
	Share  // what all nodes keep, in Data: for Config.Share, as is the next one
	Shared // it has arrived
)

// MaxData bounds Message.Data, in bytes.
const MaxData = 800

// Message is one message. From is filled in by the receiver's side, from the authenticated handshake.
type Message struct {
	Kind Kind
	From string
	Term uint64
	Data []byte // what the kind needs beyond that; at most MaxData bytes
}

// State is what is known of the stream to one peer. Times are zero if it never happened.
type State struct {
	Node  string
	Boot  uint64
	Up    bool
	Since time.Time // up or down
	// BrokeAt is when the stream ended by EOF or RST from the other side without a Bye and without a newer stream: a hint that the process died.
	// It is not set by time-outs, local errors, or a duplicate stream that was closed.
	BrokeAt time.Time
	ByeAt   time.Time
}
