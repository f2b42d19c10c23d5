package pool

import (
	"cmp"
	"slices"
)

// slots is the size of a Maglev table: a prime, and so many more than backends that their shares differ by about a
// hundredth (Eisenbud et al., Maglev, NSDI 2016, section 3.4).
const slots = 65537

// table assigns each slot to a backend.
type table struct {
	backends []*Backend
	slots    []uint16 // places in backends
}

// newTable has the backends take slots in turn, each by an order of its own that depends on its name only; in some
// rounds the light ones sit out. The order of the list does not count.
func newTable(backends []*Backend) *table {
	t := &table{
		backends: slices.SortedFunc(slices.Values(backends), func(a, b *Backend) int { return cmp.Compare(a.name, b.name) }),
		slots:    make([]uint16, slots),
	}
	type taker struct{ at, skip, credit int }
	takers, heavy := make([]taker, len(backends)), 0
	for i, b := range t.backends {
		takers[i] = taker{at: int(b.hash % slots), skip: int(mix(b.hash)%(slots-1)) + 1}
		heavy = max(heavy, b.weight)
	}
	const free = 1<<16 - 1
	for i := range t.slots {
		t.slots[i] = free
	}
	for taken := 0; taken < slots && heavy > 0; {
		for i := range takers {
			k := &takers[i]
			if k.credit += t.backends[i].weight; k.credit < heavy || taken == slots {
				continue
			}
			k.credit -= heavy
			for t.slots[k.at] != free {
				k.at = (k.at + k.skip) % slots
			}
			t.slots[k.at] = uint16(i)
			taken++
		}
	}
	return t
}

// pick returns the backend of key's slot, or that of the next slot whose backend may be picked; nil if those that may are too light for a slot.
func (t *table) pick(key uint64, may func(*Backend) bool) *Backend {
	at := int(key % slots)
	for range slots {
		if b := t.backends[t.slots[at]]; may(b) {
			return b
		}
		at = (at + 1) % slots
	}
	return nil
}
