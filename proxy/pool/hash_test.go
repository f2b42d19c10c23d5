package pool

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"testing"
)

// clientNo is the n-th of many different clients.
func clientNo(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

// homes tells which backend each of n clients has.
func homes(t *testing.T, p *Pool, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		l := mustPick(t, p, Request{Client: clientNo(i)})
		out[i] = l.Backend().Name()
		l.Done(nil)
	}
	return out
}

func count(names []string) map[string]int {
	n := make(map[string]int)
	for _, name := range names {
		n[name]++
	}
	return n
}

var byClient = []Balance{SourceHash, Maglev}

func TestClientsAreSharedByWeight(t *testing.T) {
	const n = 20000
	for _, balance := range byClient {
		for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 5}, {256, 1}} {
			_, p := of(t, balance, weights)
			got, sum := count(homes(t, p, n)), 0
			for _, w := range weights {
				sum += w
			}
			for i, w := range weights {
				name, share := p.Backends()[i].name, float64(w)/float64(sum)
				// Nothing is random here, but hashes ought to look so. A table adds a hundredth.
				if off := math.Abs(float64(got[name]) - n*share); off > 5*math.Sqrt(n*share)+0.01*n*share {
					t.Errorf("%s, weights %v: %s has %d of %d clients, want %.0f", balance, weights, name, got[name], n, n*share)
				}
			}
		}
	}
}

// Two nodes that list the backends in another order, at other addresses even, send each client to the same one.
func TestTwoNodesAgree(t *testing.T) {
	const n = 5000
	for _, balance := range byClient {
		secret := func(c *Config) { c.Secret = []byte("the key of the cluster") }
		one, p := of(t, balance, []int{1, 2, 3, 1}, secret)
		two, q := of(t, balance, []int{1, 2, 3, 1}, secret, func(c *Config) {
			slices.Reverse(c.Backends)
			c.Backends[0].Address = netip.MustParseAddrPort("192.0.2.1:1")
		})
		if a, b := homes(t, p, n), homes(t, q, n); !slices.Equal(a, b) {
			t.Errorf("%s: two nodes send clients to different backends", balance)
		}
		for _, s := range []*Set{one, two} {
			s.SetUp("web", "c", false, "refused")
		}
		if a, b := homes(t, p, n), homes(t, q, n); !slices.Equal(a, b) {
			t.Errorf("%s: with one down two nodes send clients to different backends", balance)
		}
		_, other := of(t, balance, []int{1, 2, 3, 1}, func(c *Config) { c.Secret = []byte("another key") })
		if slices.Equal(homes(t, other, n), homes(t, q, n)) {
			t.Errorf("%s: the secret changes nothing, so clients can aim", balance)
		}
	}
}

// What clients had must survive an upgrade of one node of a pair: these values are a contract between versions.
func TestHomesStayTheSameInLaterVersions(t *testing.T) {
	for balance, want := range map[Balance]string{SourceHash: "ccaccaacdbbbbaaacbccbbcbcdbbbcbb", Maglev: "cdaccdcbbccdaacccbcccccbdbaccbaa"} {
		_, p := of(t, balance, []int{1, 2, 3, 1}, func(c *Config) { c.Secret = []byte("the key of the cluster") })
		got := ""
		for _, name := range homes(t, p, 32) {
			got += name
		}
		if got != want {
			t.Errorf("%s: clients 0.0.0.0 to 0.0.0.31 are at home at %s, want %s", balance, got, want)
		}
	}
}

func TestOnlyClientsOfTheLostMove(t *testing.T) {
	const n = 20000
	for _, c := range []struct {
		balance Balance
		astray  float64 // the part of other clients that may move
	}{{SourceHash, 0}, {Maglev, 0.03}} {
		s, p := of(t, c.balance, equal(10))
		before := homes(t, p, n)
		s.SetUp("web", "d", false, "refused")
		after := homes(t, p, n)
		astray, moved := 0, make(map[string]int)
		for i := range before {
			switch {
			case before[i] == "d":
				moved[after[i]]++
			case before[i] != after[i]:
				astray++
			}
		}
		if float64(astray) > c.astray*n {
			t.Errorf("%s: %d of %d clients of others moved when d went down, want at most %.0f %%", c.balance, astray, n, 100*c.astray)
		}
		if len(moved) != 9 {
			t.Errorf("%s: the clients of d went to %v, want some to each of nine", c.balance, moved)
		}
		s.SetUp("web", "d", true, "answered")
		if !slices.Equal(homes(t, p, n), before) {
			t.Errorf("%s: with d up again the clients are not where they were", c.balance)
		}
	}
}

func TestBoundedLoadSendsTheRestElsewhere(t *testing.T) {
	for _, balance := range byClient {
		_, p := of(t, balance, equal(4), func(c *Config) { c.BoundedLoad = 125 })
		one := Request{Client: netip.MustParseAddr("192.0.2.7")} // a crowd behind one address
		const crowd = 100
		for range crowd {
			mustPick(t, p, one)
		}
		for _, b := range p.Backends() {
			// ceil(1.25 * 100 / 4) is the most that one may have.
			if n := b.active.Load(); n > 32 || n < 4 {
				t.Errorf("%s: %s has %d of %d, want at most 32 and the rest with others", balance, b.name, n, crowd)
			}
		}
	}
}

func TestBoundedLoadMovesNobodyWithoutNeed(t *testing.T) {
	for _, balance := range byClient {
		_, p := of(t, balance, equal(4), func(c *Config) { c.BoundedLoad = 150 })
		_, free := of(t, balance, equal(4))
		if !slices.Equal(homes(t, p, 1000), homes(t, free, 1000)) {
			t.Errorf("%s: while nobody is busy, the bound moves clients", balance)
		}
	}
}

func TestBoundIsByWeight(t *testing.T) {
	_, p := of(t, SourceHash, []int{1, 3}, func(c *Config) { c.BoundedLoad = 110 })
	for i := range 400 {
		mustPick(t, p, Request{Client: clientNo(i)})
	}
	if a, b := p.Backends()[0].active.Load(), p.Backends()[1].active.Load(); a > 110 || b > 330 {
		t.Errorf("of 400 connections %d and %d, want at most 110 and 330", a, b)
	}
}

// The number of slots that each has differs by at most one round.
func TestMaglevTableIsEven(t *testing.T) {
	_, p := of(t, Maglev, equal(7))
	n := make(map[uint16]int)
	for _, s := range p.rotation.table.slots {
		n[s]++
	}
	for i, k := range n {
		if k < slots/7 || k > slots/7+1 {
			t.Errorf("backend %d has %d of %d slots, want a seventh", i, k, slots)
		}
	}
}
