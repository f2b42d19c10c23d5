package pulse

import (
	"net/netip"
	"time"
)

// Transport carries datagrams. One goroutine calls Wait, Read and Write; Wake may be called by any, at any time, also after Close.
type Transport interface {
	// Wait blocks until a datagram can be read, Wake is called, or the time has come. Waking for nothing is allowed.
	Wait(until time.Time) error
	// Read reads one datagram without blocking; ok is false if there is none. A datagram that does not fit into b is cut, and N is len(b)+1 or more.
	Read(b []byte) (a Arrival, ok bool, err error)
	// Write sends one datagram by a path (0 is that of Config.Bind, then those of Config.Paths) without blocking.
	Write(b []byte, path int, to netip.AddrPort) error
	// Wake ends the present Wait, or the next one.
	Wake()
	Close() error
}

// Arrival is what is known of a received datagram.
type Arrival struct {
	N     int
	From  netip.AddrPort
	Path  int   // that it came by
	Stamp int64 // when it arrived by the wall clock, in ns since 1970; 0: unknown
}
