package cluster

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/pulse"
)

// world is a segment with some nodes on it, in memory. Beats, messages and ARP pass unless cut.
type world struct {
	t     *testing.T
	mu    sync.Mutex // guards all of it
	hosts map[string]*host
	// cut, beatsCut: from → to that no frame, or no beat and message, passes.
	cut, beatsCut map[[2]string]bool
	dual          time.Duration // how long two answered ARP
	nobody        time.Duration // how long nobody did, since the first did
	first         bool
	mislaid       bool              // messages get lost, and their senders know; beats do not
	after         func(kind string) // called when a message has been sent
	asks          sync.WaitGroup
	options       func(*Options)                      // changes those of a node before it starts
	carry         func(from, to *host, p *pulse.Peer) // changes what a node knows by a beat
}

// host is a node with fakes for all that surrounds it.
type host struct {
	w      *world
	name   string
	mac    net.HardwareAddr
	node   *Node
	cancel context.CancelFunc
	done   chan error

	dead      bool // the process is gone; its kernel still answers until the gate ends
	hung      bool
	gateEnds  time.Time // of the fence
	beat      pulse.Beat
	heard     map[string]pulse.Peer
	streams   map[string]peer.State
	inbox     chan peer.Message
	wish      Wish
	facts     Facts
	claims    int
	slow      time.Duration // to speak up after having been quiet
	stuck     bool          // does not read its messages
	deaf      error         // adding the VIP fails
	reset     int
	closing   bool // answers ask clients to come back by a new connection
	active    int
	accepted  uint64
	points    []string
	announced []string // why
	rank      int      // how unfit it is
	refuses   bool     // its listener is not open
	others    bool     // third parties answer it
	log       hclog.Logger
	journal   Journal
	kept      Kept  // on its disk
	full      error // its disk is

	pulsed, gossiped, streamed, viped, fit chan struct{}
}

const testFailover = 200 * time.Millisecond

func newWorld(t *testing.T, names ...string) *world {
	w := &world{t: t, hosts: map[string]*host{}, cut: map[[2]string]bool{}, beatsCut: map[[2]string]bool{}}
	for i, name := range names {
		h := &host{
			w: w, name: name, mac: net.HardwareAddr{2, 0, 0, 0, 0, byte(i + 1)}, heard: map[string]pulse.Peer{}, streams: map[string]peer.State{},
			inbox: make(chan peer.Message, 16), facts: Facts{LinkUp: true}, log: hclog.NewNullLogger(),
			pulsed: make(chan struct{}, 1), gossiped: make(chan struct{}, 1), streamed: make(chan struct{}, 1), viped: make(chan struct{}, 1), fit: make(chan struct{}, 1),
		}
		h.facts.MACs = []net.HardwareAddr{h.mac}
		w.hosts[name] = h
	}
	return w
}

func (w *world) start(name string) *host {
	h := w.hosts[name]
	ctx, cancel := context.WithCancel(w.t.Context())
	h.cancel, h.done, h.dead = cancel, make(chan error, 1), false
	opts := Options{
		Policy: election.Policy{
			Name: name, Priority: 100, Failover: testFailover, Settle: time.Second, Stagger: testFailover,
			Handover: 200 * time.Millisecond, ForeignWait: 2500 * time.Millisecond, PreemptDelay: 30 * time.Second,
		},
		Expected: len(w.hosts) - 1, VIP: fakeVIP{h}, Traffic: fakeTraffic{h}, Pulse: fakePulse{h}, Streams: fakeStreams{h}, Gossip: fakeGossip{h},
		Fitness: h.fitness, FitnessChanged: h.fit,
		Save: h.save, Maintenance: h.kept.Maintenance,
		Log: h.log, Journal: h.journal, VIPs: "10.0.0.10",
	}
	if w.options != nil {
		w.options(&opts)
	}
	h.node = New(opts)
	go func() { h.done <- h.node.Run(ctx) }()
	return h
}

func (h *host) save(k Kept) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.full == nil {
		h.kept = k
	}
	return h.full
}

func (h *host) fitness() Fitness {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return Fitness{Fit: true, Rank: h.rank, Refuses: h.refuses}
}

// run lets d pass, a millisecond at a time, and keeps account of who answers.
func (w *world) run(d time.Duration) {
	for range int(d / time.Millisecond) {
		time.Sleep(time.Millisecond)
		synctest.Wait() // the nodes first: what a story comes to must not depend on who is scheduled
		w.tick()
	}
}

// sorted are the hosts by name.
func (w *world) sorted() []*host {
	var hs []*host
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		hs = append(hs, w.hosts[name])
	}
	return hs
}

func (w *world) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var answering int
	for _, h := range w.sorted() {
		h.live(now)
		if h.answers(now) {
			answering++
		}
	}
	switch {
	case answering > 1:
		w.dual += time.Millisecond
	case answering == 1:
		w.first = true
	case w.first:
		w.nobody += time.Millisecond
	}
	for _, h := range w.sorted() {
		h.probe(now)
	}
}

// live renews the gate and beats, every 10 ms, as the beat thread does.
func (h *host) live(now time.Time) {
	if h.node == nil || h.dead || h.hung || now.UnixMilli()%10 != 0 {
		return
	}
	if (h.facts.Holds || h.facts.Quiet) && now.Before(h.gateEnds) {
		h.gateEnds = now.Add(testFailover)
	}
	for _, to := range h.w.sorted() {
		h.beatTo(to, now)
	}
}

func (h *host) beatTo(to *host, now time.Time) {
	pair := [2]string{h.name, to.name}
	if to == h || to.node == nil || to.dead || h.w.cut[pair] || h.w.beatsCut[pair] {
		return
	}
	back := now.Sub(h.heard[to.name].HeardAt)
	p := pulse.Peer{Beat: h.beat, HeardAt: now, ArrivedAt: now, HearsMe: back < testFailover/2, DeafFor: back}
	if h.w.carry != nil {
		h.w.carry(h, to, &p)
	}
	to.heard[h.name] = p
	poke(to.pulsed)
}

// answers reports whether this host's kernel answers ARP for the VIP.
func (h *host) answers(now time.Time) bool { return h.facts.Holds && now.Before(h.gateEnds) }

// probe is the wire check: a round every 20 ms.
func (h *host) probe(now time.Time) {
	if !h.wish.Check || h.dead || h.hung {
		h.facts.Wire = election.Wire{}
		return
	}
	if h.facts.Wire.Since.IsZero() {
		h.facts.Wire.Since = now
	}
	if now.Sub(h.facts.Wire.Since).Milliseconds()%20 != 0 {
		return
	}
	h.facts.Wire.Probes++
	h.facts.Wire.Deaf = h.facts.OthersKnown && !h.others
	if h.others {
		h.facts.OthersAt = now
	}
	for _, o := range h.w.sorted() {
		if o != h && o.answers(now) && !h.w.cut[[2]string{h.name, o.name}] && !h.w.cut[[2]string{o.name, h.name}] {
			h.facts.Wire.Probes, h.facts.Wire.PeerAt, h.facts.PeerMAC = 0, now, o.mac
		}
	}
	poke(h.viped)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// kill ends the process: its streams break, its listener refuses, its kernel keeps the VIP until the gate ends.
func (w *world) kill(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.die(name)
}

// die is kill while the world is locked.
func (w *world) die(name string) {
	h := w.hosts[name]
	h.dead = true
	for _, o := range w.sorted() {
		if o != h {
			o.streams[name] = peer.State{Node: name, BrokeAt: time.Now()}
			poke(o.streamed)
		}
	}
	h.cancel()
}

func (w *world) holders() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := ""
	for _, name := range []string{"lb1", "lb2"} {
		if w.hosts[name].answers(time.Now()) {
			s += name
		}
	}
	return s
}

// stop ends all nodes and waits for them.
func (w *world) stop() {
	for _, h := range w.sorted() {
		if h.cancel == nil {
			continue
		}
		h.cancel()
		for {
			select {
			case <-h.done:
			default:
				w.run(time.Millisecond)
				continue
			}
			break
		}
	}
}

type fakeVIP struct{ *host }

func (f fakeVIP) Want(wish Wish) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.dead || f.hung {
		return
	}
	f.wish = wish
	up := f.facts.Holds || f.facts.Quiet
	holds, quiet := wish.Hold && !wish.Quiet, wish.Hold && wish.Quiet
	if holds == f.facts.Holds && quiet == f.facts.Quiet || (wish.Hold && f.deaf != nil) {
		return
	}
	if wish.Hold && !up {
		f.claims++
		f.gateEnds = time.Now().Add(testFailover)
	}
	if f.facts.Quiet && holds && f.slow > 0 {
		f.slow -= time.Millisecond // asked at every turn, which is every millisecond here
		return
	}
	f.facts.Holds, f.facts.Quiet, f.facts.QuietAt = holds, quiet, time.Now()
	poke(f.viped)
}

func (f fakeVIP) Facts() Facts {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.dead {
		return Facts{} // what is left of the process in this test must be able to end
	}
	return f.facts
}
func (f fakeVIP) Changed() <-chan struct{} { return f.viped }
func (f fakeVIP) Announce(reason string) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.announced = append(f.announced, reason)
}
func (f fakeVIP) SetPeers(map[string][]net.HardwareAddr) {}
func (f fakeVIP) Point(macs []net.HardwareAddr) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.points = append(f.points, macs[0].String())
	return nil
}

func (f fakeVIP) Confirm(_ context.Context, macs []net.HardwareAddr) (Verdict, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	for _, h := range f.w.sorted() {
		if h.mac.String() == macs[0].String() && time.Now().Before(h.gateEnds) {
			if h.dead || h.refuses {
				return Refused, nil
			}
			return Accepted, nil
		}
	}
	return NoAnswer, nil
}

type fakeTraffic struct{ *host }

func (f fakeTraffic) Active() int {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.active
}

func (f fakeTraffic) Accepted() uint64 {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.accepted
}

func (f fakeTraffic) SetClosing(on bool) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.closing = on
}

func (f fakeTraffic) Reset() {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.reset++
}

type fakePulse struct{ *host }

func (f fakePulse) Publish(b pulse.Beat) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	changed := b != f.beat
	f.beat = b
	if !changed || f.dead || f.hung {
		return
	}
	for _, to := range f.w.sorted() {
		f.beatTo(to, time.Now())
	}
}

func (f fakePulse) Snapshot() pulse.Snapshot {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return maps.Clone(f.heard)
}
func (f fakePulse) Changed() <-chan struct{} { return f.pulsed }

type fakeStreams struct{ *host }

func (f fakeStreams) Send(_ context.Context, to string, m peer.Message) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.cut[[2]string{f.name, to}] || f.w.beatsCut[[2]string{f.name, to}] || f.dead {
		return errors.New("cut")
	}
	if f.w.mislaid {
		return errors.New("lost")
	}
	m.From = f.name
	if !f.w.hosts[to].stuck {
		f.w.hosts[to].inbox <- m
	}
	if f.w.after != nil {
		f.w.after(map[peer.Kind]string{peer.Take: "Take", peer.Ready: "Ready", peer.Go: "Go"}[m.Kind])
	}
	return nil
}
func (f fakeStreams) Inbox() <-chan peer.Message { return f.inbox }
func (f fakeStreams) States() map[string]peer.State {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return maps.Clone(f.streams)
}
func (f fakeStreams) Changed() <-chan struct{} { return f.streamed }

type fakeGossip struct{ *host }

func (f fakeGossip) SetMeta(gossip.Meta) {}
func (f fakeGossip) Snapshot() []gossip.Member {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	var ms []gossip.Member
	for _, h := range f.w.sorted() {
		if h != f.host {
			ms = append(ms, gossip.Member{Name: h.name, State: gossip.Alive, Meta: gossip.Meta{MACs: []net.HardwareAddr{h.mac}, Priority: 100}})
		}
	}
	return ms
}
func (f fakeGossip) Changed() <-chan struct{} { return f.gossiped }

type pulsePeer = pulse.Peer

func peerBroke(at time.Time) peer.State { return peer.State{Node: "lb1", BrokeAt: at} }
