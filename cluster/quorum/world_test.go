package quorum_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

// The world is a network of hosts in true time, which none of them knows: each has a clock of its own, off by up to 1 %, for its kernel and its processes. What
// happens are events; between any two steps of a thread there may be a pause. What it assumes is in cluster/adr/0003-quorum.md: a step (a
// system call, a look at a clock) happens at one instant, and clocks do not stand still.

const (
	failover = 200 * time.Millisecond
	every    = failover / 10 // half as often as in life, which leaves the adversary more room
	settle   = failover      // the least that is allowed
	maxNodes = 6
)

type world struct {
	now    time.Duration // true time
	rng    *rand.Rand
	queue  events
	seq    int
	nodes  []*node
	cut    [maxNodes][maxNodes]bool // no packet passes, from, to
	loss   float64
	twice  float64       // of a packet to come twice
	late   float64       // of a packet to be late, by up to lateBy
	lateBy time.Duration // 0: 2 ms is the most
	stall  float64       // of a turn of a thread to be held up at one of its steps
	stalls time.Duration // until then threads may be held up
	blind  bool          // the election does not look whose voters a node is of: the votes must be enough
	failed string
	say    func(format string, args ...any) // nil: quiet
	opened int
	met    map[string]bool
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.seq, do})
}

// run lets that much true time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.failed == ""; {
		if len(w.queue) == 0 || w.queue[0].at > end {
			w.now = end
			return
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
}

func (w *world) sayf(format string, args ...any) {
	if w.say != nil {
		w.say("%9.3f ms  "+format, append([]any{float64(w.now) / 1e6}, args...)...)
	}
}

func (w *world) failf(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("after %s: ", w.now) + fmt.Sprintf(format, args...)
		w.sayf("FAILED %s", w.failed)
		for _, n := range w.nodes {
			if p := n.p; p == nil {
				w.sayf("%s does not run", n.name)
			} else {
				w.sayf("%s: mode %c, %s, stands %v, favours %q, asks %v (%v), its vote is with %d, cut towards %v, busy %v %v",
					n.name, p.mode, string(p.d.Reason), p.d.Stands, p.d.Favours, p.d.Ask, p.asks, p.booth.Granting(n.clock()), w.cut[n.id][:len(w.nodes)], p.beats.busy, p.loop.busy)
			}
		}
	}
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// within is a random time below d.
func (w *world) within(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// node is a host: its kernel, its clock, its disk, and the process that may run on it.
type node struct {
	w       *world
	id      int
	name    string
	addr    netip.AddrPort
	rate    float64 // of its clock
	power   bool
	fit     bool
	witness bool
	voters  []*node // as configured, itself included
	other   bool    // its file is wrong: half of the failover time
	kernel  kernel
	term    uint64 // on disk
	boots   int
	p       *process
	paused  time.Duration // until, true time: no thread of its process runs
	trap    time.Duration // pause for that long at the next renewal
}

// clock is what the host's clock shows.
func (n *node) clock() time.Duration {
	return time.Duration(float64(n.w.now)*n.rate) + time.Hour*time.Duration(n.id+1)
}

// kernel is the gate: what is left of a process when it stands still.
type kernel struct {
	speaks  time.Duration // the VIP can be found here until then, by the host's clock
	tickets map[uint64]time.Duration
}

func (n *node) open() bool { return n.power && n.clock() < n.kernel.speaks }

func (n *node) arm(round uint64) {
	for r, until := range n.kernel.tickets {
		if n.clock() >= until {
			delete(n.kernel.tickets, r)
		}
	}
	n.kernel.tickets[round] = n.clock() + n.failover()
}

// tear is the transaction that opens or prolongs: with a ticket, or not at all.
func (n *node) tear(round uint64, isOpen bool) bool {
	if n.clock() >= n.kernel.tickets[round] || isOpen && !n.open() {
		return false
	}
	delete(n.kernel.tickets, round)
	if isOpen && n.trap > 0 && n.w.now >= n.paused {
		n.w.sayf("%s renews by round %d, and stands still again", n.name, round)
		n.paused, n.trap = n.w.now+n.trap, 0
	}
	n.kernel.speaks = n.clock() + n.failover()
	n.w.opened++
	for _, m := range n.w.nodes {
		if m != n && m.open() {
			n.w.failf("two hold: %s opens by round %d and %s is open for %s more", n.name, round, m.name, m.kernel.speaks-m.clock())
		}
	}
	return true
}

func (n *node) shut() { n.kernel = kernel{tickets: map[uint64]time.Duration{}} }

// packet is a beat, or a message of the peer stream.
type packet struct {
	from *node
	boot uint64
	seq  uint64
	word quorum.Word
	self election.Peer
	term uint64
	// hears is what the sender says of each node: the newest beat heard of its life, and how long ago.
	hears [maxNodes]echo
	kind  byte // of a message: 't'ake, 'r'eady, 'g'o, 'c'ancel; 0: a beat
}

type echo struct {
	boot uint64
	age  time.Duration
}

// send puts a packet on the network.
func (n *node) send(to *node, p packet) {
	w := n.w
	if w.cut[n.id][to.id] || w.chance(w.loss) {
		return
	}
	deliver := func() {
		d := w.within(2 * time.Millisecond)
		if w.chance(w.late) {
			d = w.within(w.lateBy)
		}
		w.after(d, func() {
			if to.p != nil && to.power {
				to.p.inbox = append(to.p.inbox, p)
				to.p.wake()
			}
		})
	}
	deliver()
	if w.chance(w.twice) {
		deliver()
	}
}

func newWorld(rng *rand.Rand, full, witnesses int) *world {
	w := &world{rng: rng, met: map[string]bool{}}
	for i := range full + witnesses {
		n := &node{
			w: w, id: i, name: fmt.Sprintf("lb%d", i+1), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(11 + i)}), 7946),
			rate: 1 + 0.02*(rng.Float64()-0.5), power: true, fit: true, witness: i >= full,
		}
		if rng.IntN(2) == 0 {
			n.rate = 0.99 + 0.02*float64(rng.IntN(2))
		}
		n.shut()
		w.nodes = append(w.nodes, n)
	}
	w.configure(w.nodes...)
	return w
}

// configure gives these nodes each other as voters; it counts from their next start on.
func (w *world) configure(voters ...*node) {
	for _, n := range voters {
		n.voters = voters
	}
}

// set is what the node's file says.
func (n *node) set() quorum.Set {
	var peers []netip.AddrPort
	for _, m := range n.voters {
		if m != n {
			peers = append(peers, m.addr)
		}
	}
	return quorum.NewSet(n.addr, peers, quorum.Lease(2*n.failover()), 2*n.failover())
}

// failover is what the node's file says.
func (n *node) failover() time.Duration {
	if n.other {
		return failover / 2
	}
	return failover
}
