package quorum

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// MaxSeats bounds the number of voters: this node and 15 peers.
const MaxSeats = 16

// Set is the configured voters and what they must agree on, as one of them sees it.
type Set struct {
	// Hash is the same for two nodes exactly when they have the same voters and the same times. Never 0.
	Hash uint64
	Size int // voters, this node included
	Seat int // this node's number among them: two voters never share one
}

// NewSet returns the set of this node's address and its peers'. Lease is the voters', hold how long a holder may hold on one round: they
// are part of what must be equal.
func NewSet(self netip.AddrPort, peers []netip.AddrPort, lease, hold time.Duration) Set {
	all := append([]netip.AddrPort{self}, peers...)
	slices.SortFunc(all, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	all = slices.Compact(all)
	h := fnv.New64a()
	text := []byte("tandem quorum 1\n")
	for _, a := range all {
		text = append(a.AppendTo(text), '\n')
	}
	text = append(text, (lease.String() + " " + hold.String())...)
	_, _ = h.Write(text) // never fails
	return Set{Hash: max(h.Sum64(), 1), Size: len(all), Seat: slices.Index(all, self)}
}

// Majority is how many votes are enough.
func (s Set) Majority() int { return s.Size/2 + 1 }

const (
	// drift is how much of a time two clocks that run within 1 % of the true speed can be apart, rounded up: 2.02 %.
	drift = 40 // as 1/drift of the time
	// grain is what the kernel may round up the two timeouts of its gate to, a tick of 10 ms each, and what a transaction of its takes.
	grain = 40 * time.Millisecond
)

// Lease is how long a voter that has granted one node grants nobody else, when a holder holds for at most hold after it has asked.
func Lease(hold time.Duration) time.Duration {
	return hold + hold/drift + max(hold/8, grain)
}
