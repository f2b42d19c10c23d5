package fence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Names within the tables.
const (
	setServe4 = "serve4"
	setServe6 = "serve6"
	setSpeak4 = "speak4" // in the arp table
	setSpeak6 = "speak6"
	setTicket = "ticket"
	setVIPs4  = "vips4"
	setVIPs6  = "vips6"
)

// Gate lets traffic for the virtual addresses pass while its lease runs. It is one pair of nftables tables, of which nothing is left to guess when
// the daemon dies: the lease is the timeout of set elements, and the kernel ends it. It is not safe for concurrent use.
type Gate struct {
	node    string
	table   string
	v4, v6  []netip.Addr
	timeout time.Duration
	pipe    *pipe
	turns   [3][3]batch // from, to
	renews  [3][3]batch // the same, each with a ticket that is torn first
	armed   batch       // the ticket of a round
	shut    batch
	disarm  batch
	quieten batch
}

// New prepares the gate of a node for its virtual addresses; timeout is the lease. Nothing is changed in the kernel yet.
// It must be called on a thread that is in the network namespace to guard; whoever calls must Close.
func New(node string, vips []netip.Addr, timeout time.Duration) (*Gate, error) {
	if timeout < time.Millisecond {
		return nil, fmt.Errorf("the lease of the gate is %s, must be at least 1ms", timeout)
	}
	g := &Gate{node: node, table: Table(node), timeout: timeout}
	for _, a := range vips {
		if a.Is4() {
			g.v4 = append(g.v4, a)
		} else {
			g.v6 = append(g.v6, a)
		}
	}
	if err := g.prepare(); err != nil {
		return nil, err
	}
	var err error
	g.pipe, err = openPipe()
	return g, err
}

// Close closes the gate's socket. It leaves the kernel as it is: see Remove.
func (g *Gate) Close() error { return g.pipe.close() }

// Remove takes the gate out of the kernel. While a virtual address is on a link of this node, that gives it its voice back.
func (g *Gate) Remove() error {
	_, err := Remove(g.node)
	return err
}

// prepare builds every transaction that is needed while time matters.
func (g *Gate) prepare() error {
	serve, speak := g.sets(setServe4, setServe6), g.sets(setSpeak4, setSpeak6)
	plans := []struct {
		from, to Mode
		changes  []change
	}{
		{Open, Open, join(del(serve), del(speak), add(serve), add(speak))},
		{Quiet, Quiet, join(del(serve), add(serve))},
		{Quiet, Open, join(del(serve), add(serve), add(speak))},
		{Open, Quiet, join(del(serve), del(speak), add(serve))},
	}
	for _, p := range plans {
		b, err := newBatch(p.changes...)
		if err != nil {
			return err
		}
		g.turns[p.from][p.to] = b
		if p.to != Open {
			continue
		}
		if g.renews[p.from][p.to], err = newBatch(join([]change{g.ticket(blank, false)}, p.changes)...); err != nil {
			return err
		}
	}
	var err error
	if g.armed, err = newBatch(g.ticket(blank, true)); err != nil {
		return err
	}
	tickets := empty([]change{{family: unix.NFPROTO_INET, table: g.table, set: setTicket}})
	if g.disarm, err = newBatch(tickets...); err != nil {
		return err
	}
	if g.quieten, err = newBatch(del(speak)...); err != nil {
		return err
	}
	g.shut, err = newBatch(join(empty(speak), empty(serve), tickets)...)
	return err
}

// sets is one change for each of the two sets, of those families that the gate has addresses of.
func (g *Gate) sets(four, six string) []change {
	var c []change
	if len(g.v4) > 0 {
		family := byte(unix.NFPROTO_INET)
		if four == setSpeak4 {
			family = unix.NFPROTO_ARP
		}
		c = append(c, change{family: family, table: g.table, set: four, keys: keysOf(g.v4), timeout: g.timeout})
	}
	if len(g.v6) > 0 {
		c = append(c, change{family: unix.NFPROTO_INET, table: g.table, set: six, keys: keysOf(g.v6), timeout: g.timeout})
	}
	return c
}

func join(parts ...[]change) []change {
	var all []change
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func add(in []change) []change {
	out := append([]change(nil), in...)
	for i := range out {
		out[i].add = true
	}
	return out
}

func del(in []change) []change { return append([]change(nil), in...) }

func empty(in []change) []change {
	out := del(in)
	for i := range out {
		out[i].keys = nil
	}
	return out
}

// Arm puts a ticket into the gate, valid for the lease's time from now. Only who has a ticket that has not expired can Open:
// a claim that is delayed anywhere between the two, and be it inside of a system call, opens nothing.
func (g *Gate) Arm(ticket uint32) error { return g.told("arm", g.pipe.do(stamped(g.armed, ticket))) }

// Disarm takes back all tickets.
func (g *Gate) Disarm() error { return g.told("disarm", g.pipe.do(g.disarm)) }

// blank is the ticket in a batch that is built before the ticket is known.
const blank = 0xfeedface

// stamped writes a ticket into a batch that was built with a blank one, in place.
func stamped(b batch, ticket uint32) batch {
	binary.BigEndian.PutUint32(b.bytes[b.ticket:], ticket)
	return b
}

func (g *Gate) ticket(n uint32, add bool) change {
	return change{family: unix.NFPROTO_INET, table: g.table, set: setTicket, add: add, keys: [][]byte{binary.BigEndian.AppendUint32(nil, n)}, timeout: g.timeout}
}

// Open tears the ticket and begins a lease. ErrLapsed: the ticket had expired.
func (g *Gate) Open(ticket uint32, m Mode) error {
	changes := append([]change{g.ticket(ticket, false)}, add(g.sets(setServe4, setServe6))...)
	if m == Open {
		changes = append(changes, add(g.sets(setSpeak4, setSpeak6))...)
	}
	b, err := newBatch(changes...)
	if err != nil {
		return err
	}
	return g.told("open", g.pipe.do(b))
}

// Turn prolongs the lease of a gate that is in the mode from, and sets the mode to: a compare-and-swap. The elements are deleted and
// added in one transaction, and when one of them has expired the kernel refuses all of it: ErrLapsed. It allocates nothing.
func (g *Gate) Turn(from, to Mode) error {
	b := g.turns[from][to]
	if b.bytes == nil {
		return fmt.Errorf("the gate cannot be turned from %s to %s", from, to)
	}
	return g.told("renew", g.pipe.do(b))
}

// Renew is Turn for a lease that is prolonged by a ticket: it is torn in the same transaction. ErrLapsed: the ticket, or the lease, had
// run out, and nothing has changed. It allocates nothing.
func (g *Gate) Renew(ticket uint32, from, to Mode) error {
	b := g.renews[from][to]
	if b.bytes == nil {
		return fmt.Errorf("the gate cannot be renewed from %s to %s", from, to)
	}
	return g.told("renew", g.pipe.do(stamped(b, ticket)))
}

// Quieten turns an open gate to Quiet, and prolongs nothing.
func (g *Gate) Quieten() error { return g.told("quieten", g.pipe.do(g.quieten)) }

// Shut ends the lease, and takes back a ticket. It succeeds on a gate that is shut.
func (g *Gate) Shut() error { return g.told("shut", g.pipe.do(g.shut)) }

// Check returns ErrGone if a table of the gate is missing.
func (g *Gate) Check() error {
	for _, family := range g.families() {
		ok, err := g.pipe.hasTable(family, g.table)
		if err != nil {
			return fmt.Errorf("look for the table %s: %w", g.table, err)
		}
		if !ok {
			return ErrGone
		}
	}
	return nil
}

func (g *Gate) families() []byte {
	if len(g.v4) == 0 {
		return []byte{unix.NFPROTO_INET}
	}
	return []byte{unix.NFPROTO_INET, unix.NFPROTO_ARP}
}

// told turns the kernel's "no such thing" into what it means here.
func (g *Gate) told(what string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s the gate: %w", what, err)
	}
	if err := g.Check(); err != nil {
		return fmt.Errorf("%s the gate: %w", what, err)
	}
	return fmt.Errorf("%s the gate: %w", what, ErrLapsed)
}
