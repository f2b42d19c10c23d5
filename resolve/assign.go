package resolve

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
)

// assign gives each backend one of the addresses, by their names and the set of addresses alone: two nodes that got the same answer agree, whatever they had
// before. When an address goes, few others move: each pair of a backend and an address has a score, and the best ones are formed first. Backends
// for which none is left get the zero address. What this computes must not change between versions.
func assign(backends []string, addrs []netip.Addr) []netip.Addr {
	type pair struct {
		backend int
		addr    netip.Addr
		score   uint64
	}
	pairs := make([]pair, 0, len(backends)*len(addrs))
	for i, b := range backends {
		for _, a := range addrs {
			pairs = append(pairs, pair{i, a, score(b, a)})
		}
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(cmp.Compare(y.score, x.score), x.addr.Compare(y.addr), cmp.Compare(x.backend, y.backend))
	})
	out, used := make([]netip.Addr, len(backends)), make(map[netip.Addr]bool, len(addrs))
	for _, p := range pairs {
		if !out[p.backend].IsValid() && !used[p.addr] {
			out[p.backend], used[p.addr] = p.addr, true
		}
	}
	return out
}

func score(backend string, a netip.Addr) uint64 {
	h := fnv.New64a()
	b := a.As16()
	_, _ = h.Write([]byte(backend)) // never fails
	_, _ = h.Write(b[:])
	x := h.Sum64() // whose last bytes hardly reach the upper bits: spread them (the finalizer of splitmix64)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
