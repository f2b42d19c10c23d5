package pool

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/netip"
	"slices"
)

// Two nodes agree about the backend of a client without a word between them: all that counts is the client's address, the
// backends' names and weights, and the cluster's secret. What this file computes must not change between versions.

// seed derives the number that keys the hashes of a pool.
func seed(secret []byte) uint64 {
	if len(secret) == 0 {
		return 0
	}
	b, err := hkdf.Key(sha256.New, secret, nil, "tandem hash v1", 8)
	if err != nil {
		panic(err) // only for lengths that SHA-256 cannot give
	}
	return binary.BigEndian.Uint64(b)
}

// mix spreads every bit of x over all bits (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// hashName is the number of a backend, by its name alone: neither its place in the file nor its address counts.
func hashName(seed uint64, name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return mix(h.Sum64() ^ seed)
}

// hashAddr is the number of a client. A port does not count.
func hashAddr(seed uint64, a netip.Addr) uint64 {
	b := a.As16()
	return mix(mix(binary.BigEndian.Uint64(b[:8])^seed) ^ binary.BigEndian.Uint64(b[8:]))
}

// rendezvous chooses the candidate whose hash together with key is the highest, weighted so that each is chosen by as
// many keys as its weight says (with equal weights the hashes have the order of the scores). The order of the others does not depend on it, so a key moves only from the one that is gone.
func rendezvous(candidates []*Backend, key uint64) *Backend {
	best := candidates[0]
	if !slices.ContainsFunc(candidates, func(b *Backend) bool { return b.weight != best.weight }) {
		high := mix(best.hash ^ key)
		for _, b := range candidates[1:] {
			if h := mix(b.hash ^ key); h > high {
				best, high = b, h
			}
		}
		return best
	}
	high := best.score(key)
	for _, b := range candidates[1:] {
		if s := b.score(key); s > high {
			best, high = b, s
		}
	}
	return best
}

// score is how strongly key belongs to b: -weight/ln(u) for a u in (0, 1).
func (b *Backend) score(key uint64) float64 {
	u := (float64(mix(b.hash^key)>>11) + 0.5) / (1 << 53)
	return -float64(b.weight) / math.Log(u)
}

// loaded removes the candidates that have their bound of connections: percent of their share of all, with the one
// that is being placed. If all have it, all stay.
func loaded(candidates []*Backend, percent int) []*Backend {
	total, weights := int64(1), int64(0)
	for _, b := range candidates {
		total += b.active.Load()
		weights += int64(b.weight)
	}
	n := 0
	for i, b := range candidates {
		// active < ceil(percent/100 * total * weight/weights), without dividing
		if b.active.Load()*100*weights < int64(percent)*total*int64(b.weight) {
			candidates[n], candidates[i] = candidates[i], candidates[n]
			n++
		}
	}
	if n == 0 {
		return candidates
	}
	return candidates[:n]
}
