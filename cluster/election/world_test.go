package election_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// The world is a segment with hosts on it, in steps of one millisecond of virtual time. It is what the model and the
// stories run Decide in. What it assumes:
//
//   - a beat leaves every 10 ms, just after the gate was renewed, and takes 0 to 2 ms; the peer stream takes 2 to 4 ms;
//   - the kernel shuts the gate one failover time after the last renewal, whatever the process does, and answers ARP
//     for the VIP exactly as long as the gate is open; a process finds a lapsed gate before it renews it;
//   - a process that was paused finds the datagrams of the meantime with the kernel's receive times, knows that it
//     overslept before it does anything else, and finishes a claim only after the election has looked again;
//   - with mirrors, beats to a node that is apart (pulse.Apart) also go by third parties: 1 to 3 ms, in three frames, if both
//     nodes reach those;
//   - all clocks run at the same speed;
//   - the end of a process is noticed by its peers where IP passes both ways, and nowhere else.

const (
	beatEvery  = 10 // ms
	probeEvery = 20
	maxNodes   = 3
	never      = -1 << 30
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at turns a moment of the world into a time; never is the zero time.
func at(ms int) time.Time {
	if ms <= never {
		return time.Time{}
	}
	return epoch.Add(time.Duration(ms) * time.Millisecond)
}

func ms(d time.Duration) int { return int(d / time.Millisecond) }

type world struct {
	now     int
	rng     *rand.Rand
	nodes   []*node
	frame   [maxNodes][maxNodes]bool // frames pass on the segment, from, to
	ip      [maxNodes][maxNodes]bool // and IP is not filtered
	foreign bool                     // a strange host answers for the VIP
	loss    float64                  // of each datagram and ARP frame
	mislaid float64                  // of each message over the stream
	mirrors bool                     // third parties bounce beats
	blurred float64                  // loss of each frame by mirrors
	// keepsOne: of the terms only the newest survives a restart, and counts as the own.
	keepsOne bool
	serves   float64 // chance that a client's frame comes in during one beat
	flight   []packet
	say      func(format string, args ...any) // nil: quiet
	onClaim  func(*node, election.Decision)
	failed   string // the first thing that must not happen
}

// node is one host: its kernel and network, and its process, if one runs.
type node struct {
	w       *world
	id      int
	policy  election.Policy
	power   bool
	carrier bool
	rx, tx  bool // the network card works
	foreign bool // a strange host answers this node alone
	third   bool // third parties (clients, gateway) are reachable
	fit     bool
	maint   bool // an operator keeps it from leading
	rank    int
	reach   int // further unfitness, for what it does not reach
	gate    int // shut from this moment on, unless renewed
	disk    struct{ term, newest uint64 }
	boots   int
	p       *process
}

// process is the daemon: what is lost with it.
type process struct {
	self    election.Self
	d       election.Decision
	beats   int // when the next one is due
	boot    int
	seq     int
	turn    int // its last turn
	paused  int // until
	holds   bool
	told    int // when it first said so by beat; 0: not yet
	opens   int // a claim takes this long to become a fact
	peers   [maxNodes]known
	seen    [maxNodes]election.Peer // what the newest view points to
	inbox   []packet
	wire    wire
	dirty   bool
	lateAt  int
	thirds  bool // third parties were heard once
	started int
}

type known struct {
	heard         int
	direct        int // heard without mirrors
	directSeq     int
	apart         pulse.Apart
	boot, seq     int
	beat          beat
	crashed, left bool
}

type beat struct {
	boot, seq    int
	term, newest uint64
	self         election.Peer // the part that its sender knows
	hears        [maxNodes]bool
	deafFor      [maxNodes]int
	directFor    [maxNodes]int // the same without mirrors
}

type wire struct {
	since, probed, probes      int
	unanswered                 bool
	peerAt, foreignAt, thirdAt int
	peer                       string
}

type packet struct {
	from, to int
	at       int // arrival
	kind     byte
	term     uint64
	byHand   bool
	beat     beat
	mirrored bool
}

const (
	aBeat = iota
	aCrash
	aBye
	aTake
)

func newWorld(rng *rand.Rand, policies ...election.Policy) *world {
	w := &world{rng: rng, serves: 0.3}
	for i, p := range policies {
		w.nodes = append(w.nodes, &node{w: w, id: i, policy: p, power: true, carrier: true, rx: true, tx: true, third: true, fit: true, gate: never})
		for j := range policies {
			w.frame[i][j], w.ip[i][j] = true, true
		}
	}
	return w
}

func (w *world) sayf(format string, args ...any) {
	if w.say != nil {
		w.say(format, args...)
	}
}

func (w *world) failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if w.failed == "" && strings.Contains(text, *invariant) {
		w.failed = fmt.Sprintf("at %d ms: %s", w.now, text)
		w.sayf("FAILED %s", w.failed)
	}
}

// passes reports whether a frame from a reaches b.
func (w *world) passes(a, b int) bool {
	n, m := w.nodes[a], w.nodes[b]
	return n.power && n.carrier && n.tx && m.power && m.carrier && m.rx && w.frame[a][b]
}

func (w *world) ipPasses(a, b int) bool { return w.passes(a, b) && w.ip[a][b] }

// mirrorPasses reports whether third parties carry a frame from a to b.
func (w *world) mirrorPasses(a, b int) bool {
	n, m := w.nodes[a], w.nodes[b]
	return w.mirrors && n.power && n.carrier && n.tx && n.third && m.power && m.carrier && m.rx && m.third
}

// mirrorsLose reports whether all three frames get lost.
func (w *world) mirrorsLose() bool {
	lost := true
	for range 3 {
		lost = lost && w.blurred > 0 && w.rng.Float64() < w.blurred
	}
	return lost
}

// stream reports whether a TCP stream works between a and b.
func (w *world) stream(a, b int) bool { return w.ipPasses(a, b) && w.ipPasses(b, a) }

func (w *world) lost() bool { return w.loss > 0 && w.rng.Float64() < w.loss }

// open reports whether the kernel of n answers for the VIP. Whether anybody hears it is another question.
func (n *node) open() bool { return n.power && n.w.now < n.gate }

// live reports whether a process runs and is not paused.
func (n *node) live() bool { return n.p != nil && n.p.paused <= n.w.now }

// step is one millisecond.
func (w *world) step() {
	w.now++
	kept := w.flight[:0]
	for _, p := range w.flight {
		if p.at > w.now {
			kept = append(kept, p)
		} else if n := w.nodes[p.to]; n.p != nil {
			n.p.inbox = append(n.p.inbox, p)
		}
	}
	w.flight = kept
	first := w.now & 1
	for i := range w.nodes {
		w.nodes[(i+first)%len(w.nodes)].step()
	}
}

func (w *world) send(p packet, delay int) {
	p.at = w.now + delay
	w.flight = append(w.flight, p)
}

// message goes over the peer stream, if there is one.
func (n *node) message(to int, kind byte, term uint64, byHand bool) {
	if n.w.stream(n.id, to) && (n.w.mislaid == 0 || n.w.rng.Float64() >= n.w.mislaid) {
		n.w.send(packet{from: n.id, to: to, kind: kind, term: term, byHand: byHand}, 2+n.w.rng.IntN(3))
	}
}

func (n *node) start() {
	if !n.power || n.p != nil {
		return
	}
	n.boots++
	n.gate = never // what a former process left is swept
	p := &process{boot: n.boots, beats: n.w.now + n.w.rng.IntN(beatEvery), turn: n.w.now, lateAt: never, started: n.w.now, dirty: true}
	p.self = election.Self{Started: at(n.w.now), Term: n.disk.term, Newest: n.disk.newest}
	if n.w.keepsOne {
		p.self.Term = n.disk.newest
	}
	p.wire = wire{since: never, peerAt: never, foreignAt: never, thirdAt: never}
	for i := range p.peers {
		p.peers[i].heard, p.peers[i].direct = never, never
	}
	n.p = p
	n.w.sayf("%s starts", n.policy.Name)
}

// kill ends the process without a word; the kernel keeps the gate until it lapses.
func (n *node) kill() {
	if n.p == nil {
		return
	}
	n.p = nil
	for _, m := range n.w.nodes {
		if m != n && n.w.stream(n.id, m.id) {
			n.w.send(packet{from: n.id, to: m.id, kind: aCrash}, 2+n.w.rng.IntN(3))
		}
	}
}

// off takes the power away; on gives it back.
func (n *node) off() {
	n.p, n.power, n.gate = nil, false, never
}

func (n *node) pause(d int) {
	if n.p != nil {
		n.p.paused = max(n.p.paused, n.w.now+d)
	}
}

// leave asks the process to stop.
func (n *node) leave() {
	if n.p != nil {
		n.p.self.Leaving, n.p.dirty = true, true
	}
}

// order makes the leader hand over, as an operator does.
func (n *node) order(to int) {
	p := n.p
	if p == nil || !p.self.Wish || !p.holds || p.self.Leaving || p.self.Giving.Term > p.self.Term { // what the cluster refuses
		return
	}
	p.self.Word = election.Word{To: n.w.nodes[to].policy.Name, At: at(n.w.now), ByHand: true}
	p.dirty = true
}

func (n *node) give(name string, term uint64, byHand bool) {
	p := n.p
	p.self.Giving = election.Giving{To: name, Term: term, At: at(n.w.now)}
	n.learn(term)
	p.dirty = true
	for _, m := range n.w.nodes {
		if m.policy.Name == name {
			n.message(m.id, aTake, term, byHand)
		}
	}
}

func (n *node) learn(term uint64) {
	if term > n.p.self.Newest {
		n.p.self.Newest = term
		n.disk.newest = term
		n.p.dirty = true
	}
}
