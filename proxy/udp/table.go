package udp

import (
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// key names a flow: who sends, to which of our addresses. The latter is invalid unless the socket is bound to all.
type key struct {
	client netip.AddrPort
	local  netip.Addr
}

// flow is the datagrams between a client and a backend. The loop owns it.
type flow struct {
	key  key
	name sockaddr // the client's address, as the kernel wrote it
	slot int32    // its place in table.slots
	gen  int32    // how often the place was taken; with slot it names a flow for ever
	fd   int      // towards the backend; -1: there is none, the next datagram opens one

	lease   pool.Lease
	avoid   *pool.Backend // has refused this flow's datagrams
	session *session

	began, last time.Time
	sent        uint64 // datagrams of the client
	answers     uint64
	owed        bool // the client has sent since the last answer
	confirmed   bool // the client has sent after an answer: its address is no forgery

	list       *lru
	prev, next *flow // in list

	// The datagrams of the batch in hand that belong to this flow, as indices; -1 ends.
	first, end int
}

// lru is a list of flows, the one that was silent longest last.
type lru struct{ head, tail *flow }

func (l *lru) push(f *flow) {
	f.list, f.prev, f.next = l, nil, l.head
	if l.head != nil {
		l.head.prev = f
	} else {
		l.tail = f
	}
	l.head = f
}

func (l *lru) remove(f *flow) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		l.head = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		l.tail = f.prev
	}
	f.list, f.prev, f.next = nil, nil, nil
}

// table is the flows of one socket.
type table struct {
	byKey map[key]*flow
	slots []*flow
	gens  []int32
	free  []int32
	// Flows whose client is confirmed, and others.
	confirmed, fresh lru
}

func newTable() *table { return &table{byKey: make(map[key]*flow)} }

// add makes a flow.
func (t *table) add(k key, now time.Time) *flow {
	f := &flow{key: k, fd: -1, began: now, last: now, first: -1, end: -1}
	if n := len(t.free); n > 0 {
		f.slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		f.slot = int32(len(t.slots))
		t.slots, t.gens = append(t.slots, nil), append(t.gens, 0)
	}
	t.gens[f.slot]++
	f.gen = t.gens[f.slot]
	t.slots[f.slot], t.byKey[k] = f, f
	t.fresh.push(f)
	return f
}

// at returns the flow of a name, nil if it has ended.
func (t *table) at(slot, gen int32) *flow {
	if int(slot) >= len(t.slots) || slot < 0 || t.gens[slot] != gen {
		return nil
	}
	return t.slots[slot]
}

func (t *table) remove(f *flow) {
	f.list.remove(f)
	delete(t.byKey, f.key)
	t.slots[f.slot] = nil
	t.free = append(t.free, f.slot)
}

// touch notes that a datagram went in a flow: one of the client, or an answer.
func (t *table) touch(f *flow, now time.Time, answer bool) {
	f.last = now
	if answer {
		f.answers++
		f.owed = false
	} else {
		f.sent++
		f.owed = true
		f.confirmed = f.confirmed || f.answers > 0
	}
	to := &t.fresh
	if f.confirmed {
		to = &t.confirmed
	}
	if to.head == f {
		return
	}
	f.list.remove(f)
	to.push(f)
}

// oldest returns the flow that is ended to make room for another.
func (t *table) oldest() *flow {
	if t.fresh.tail != nil {
		return t.fresh.tail
	}
	return t.confirmed.tail
}

// idle returns a flow that was silent for limit, nil if there is none.
func (t *table) idle(now time.Time, limit time.Duration) *flow {
	for _, l := range []*lru{&t.fresh, &t.confirmed} {
		if f := l.tail; f != nil && now.Sub(f.last) >= limit {
			return f
		}
	}
	return nil
}

// owed reports whether a client that has sent something since a moment still waits for an answer.
func (t *table) owed(since time.Time) bool {
	for _, l := range []*lru{&t.fresh, &t.confirmed} {
		for f := l.head; f != nil && !f.last.Before(since); f = f.next {
			if f.owed {
				return true
			}
		}
	}
	return false
}

func (t *table) len() int { return len(t.byKey) }
