package udp

import (
	"net/netip"
	"time"
)

// Config describes one place where clients send datagrams to.
type Config struct {
	Bind netip.AddrPort
	// Idle ends a flow in which no datagram went either way for so long; at most a second late.
	Idle time.Duration
	// Responses ends a flow when each datagram of the client has had so many answers: 1 for DNS, whose clients take a new port for each
	// question. Zero: flows end by Idle only.
	Responses int
	// MaxFlows bounds the flows, each of which has a socket. When they are used up a new one takes the place of the one that has been
	// silent longest, of those first whose client has not been seen to get an answer: those may come from forged addresses.
	MaxFlows int
	// Admit is asked before a flow of a client begins, and says why it may not; Left tells that one has ended. Nil: all may. Admit may
	// have the longest silent flow make room, and is told whether there was one.
	Admit func(client netip.Addr, evict func() bool) error
	Left  func(client netip.Addr)
}

// Stats counts since the start, but for Flows.
type Stats struct {
	Flows    int    // now
	Opened   uint64 // flows
	Evicted  uint64 // flows that ended early to make room
	Refused  uint64 // flows that could not begin: not admitted, no backend, no descriptor
	Received uint64 // datagrams of clients
	Answers  uint64 // datagrams sent to clients
	Dropped  uint64 // datagrams either way that were not sent on: refused flows, full buffers
}
