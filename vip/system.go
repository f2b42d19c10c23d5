package vip

import (
	"context"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

// System is what a keeper needs of its host. Open returns the real one, package viptest has one in memory.
// Its methods may be called concurrently.
type System interface {
	// Watch calls each with the state of an interface, at once and after every change, until ctx is done. each does not block.
	Watch(ctx context.Context, name string, each func(link.Fact)) error
	Look(name string) (link.Fact, error)
	Neighbours(index int) ([]netip.Addr, error)
	// Add puts an address on an interface for a lifetime in whole seconds, or begins its lifetime anew; Remove takes it off. Both may block for seconds.
	Add(index int, p netip.Prefix, life time.Duration) error
	Remove(index int, p netip.Prefix) error
	// Gate prepares the gate; an error says why this host can have none.
	Gate(node string, vips []netip.Addr, timeout time.Duration) (Gate, error)
	// Listen opens the sockets on an interface.
	Listen(index int, six bool) (Port, error)
	// Clock is the time since the host started, with the time that it was suspended.
	Clock() time.Duration
	Close() error
}

// Gate is fence.Gate. It is used by one goroutine at a time, but for Passage, PassOn and PassNoMore, which another one may call.
type Gate interface {
	Install(fence.Mode) error
	Remove() error
	Arm(ticket uint32) error
	Open(ticket uint32, m fence.Mode) error
	Turn(from, to fence.Mode) error
	Renew(ticket uint32, from, to fence.Mode) error
	Disarm() error
	Quieten() error
	Shut() error
	Check() error
	Strangers() ([]Stranger, error)
	Passage(hops []fence.Hop) error
	PassOn(hops []fence.Hop, life time.Duration) error
	PassNoMore() error
	Close() error
}

// Stranger is fence.Stranger.
type Stranger = fence.Stranger

// Port is announce.Port.
type Port interface {
	Send(frame []byte) error
	Receive(ctx context.Context, each func(frame []byte)) error
	Knock(ctx context.Context, dst, src announce.MAC, mine netip.Addr, to netip.AddrPort) (announce.Answer, error)
	Rest()
	Close() error
}

var (
	_ Gate = (*fence.Gate)(nil)
	_ Port = (*announce.Port)(nil)
)
