package mirror

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// roundGap is the least time between two rounds, however short the silence budget is: mirrors are other people's hosts.
	roundGap = 5 * time.Millisecond
	// hopeful is how long rounds go on at the pace of beats while nothing comes back; then the peer is taken for dead, and
	// only seldom is enough to notice that it has returned.
	hopeful = 5 * time.Second
	seldom  = time.Second
	// lookEvery is how often the link and the mirrors are looked at while they are needed, and lookSoon while none can be used.
	lookEvery = time.Second
	lookSoon  = 10 * time.Millisecond
	// floodMax bounds what comes in, per second and peer: three mirrors, a beat every 5 ms, and as much again.
	floodMax = 2 * most * int(time.Second/roundGap)
	beatMax  = 1400
)

// Config says what to bounce off whom.
type Config struct {
	Peers   [][]netip.Addr // the addresses of each peer, that of cluster.peers first; the first that is on the link is used
	Mirrors []netip.Addr   // candidates, in order of preference
	// Link is what is so of the VIPs' link now. It must not block.
	Link func() Link
	// Receive takes a beat that came in; it copies the data. It believes nothing.
	Receive func(beat []byte, from netip.AddrPort, at time.Time)
	// Delivered counts the beats taken by Receive that were genuine.
	Delivered func() uint64
	// Open opens a port on a link; nil: a real one.
	Open func(index int, six bool, each func(frame []byte)) (Port, error)
}

// Port is the link as seen below IP.
type Port interface {
	Send(frame []byte) error
	Ended() <-chan struct{} // closed when nothing can come in any more
	Close() error
}

// Mirror bounces beats. Bounce and State may be called by any goroutine and never block; Run owns the rest.
type Mirror struct {
	cfg  Config
	log  hclog.Logger
	need atomic.Uint32 // the newest set of peers
	free chan []byte
	full chan []byte
	poke chan struct{}

	mu    sync.Mutex // guards state
	state State

	came  atomic.Uint64 // frames, believed or not
	flood limiter
}

// State is what mirrors do now. It is a copy.
type State struct {
	Needed    bool
	Since     time.Time
	Mirrors   []netip.Addr // in use; empty: none can be used, Why says why
	Why       string
	Sent      uint64 // frames, since it began
	Delivered uint64 // genuine beats that came in, since it began
}

// New prepares a Mirror; nothing is opened before there is a need.
func New(cfg Config, log hclog.Logger) *Mirror {
	const waiting = 4 // beats; more would be old news
	m := &Mirror{cfg: cfg, log: log, free: make(chan []byte, waiting), full: make(chan []byte, waiting), poke: make(chan struct{}, 1)}
	for range waiting {
		m.free <- make([]byte, 0, beatMax)
	}
	m.flood.most = floodMax * max(len(cfg.Peers), 1)
	if m.cfg.Open == nil {
		m.cfg.Open = openPort
	}
	return m
}

// Bounce is given each beat and the set of peers that need it by mirrors: bit i for Config.Peers[i]. It copies the beat.
func (m *Mirror) Bounce(beat []byte, need uint16) {
	was := m.need.Swap(uint32(need))
	if need == 0 {
		if was != 0 {
			m.wake()
		}
		return
	}
	select {
	case b := <-m.free:
		m.full <- append(b[:0], beat[:min(len(beat), beatMax)]...) // has room: there are no more buffers than places
	default: // Run is behind: the next beat is better news
	}
}

func (m *Mirror) wake() {
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// State is what mirrors do now.
func (m *Mirror) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	s.Mirrors = slices.Clone(s.Mirrors)
	if s.Needed {
		s.Delivered = m.cfg.Delivered() - s.Delivered
	}
	return s
}

// Run bounces beats until ctx is done.
func (m *Mirror) Run(ctx context.Context) error {
	r := run{m: m}
	defer r.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.poke:
		case b := <-m.full:
			if need := m.need.Load(); need != 0 {
				r.bounce(b, need, time.Now())
			}
			m.free <- b
		}
		if m.need.Load() == 0 {
			r.end(time.Now())
		}
	}
}

// receive takes a frame from the port. It is called by the port's reader.
func (m *Mirror) receive(frame []byte) {
	now := time.Now()
	beat, from, err := parse(frame)
	if err != nil || len(beat) > beatMax || !m.flood.allow(now) {
		return
	}
	m.came.Add(1)
	m.cfg.Receive(beat, netip.AddrPortFrom(from, 0), now)
}

// limiter lets so many pass in each second. It belongs to the port's reader.
type limiter struct {
	most, n int
	second  time.Time
}

func (l *limiter) allow(now time.Time) bool {
	if now.Sub(l.second) >= time.Second {
		l.second, l.n = now, 0
	}
	l.n++
	return l.n <= l.most
}

// run is a time of need, and what is open for it. It belongs to Run.
type run struct {
	m       *Mirror
	on      bool
	began   time.Time
	plan    plan
	port    Port
	index   int
	six     bool
	looked  time.Time
	round   time.Time // the last one
	hope    time.Time // when something came in last, or it began
	base    uint64    // Delivered when it began
	seen    uint64    // frames that had come at the last round
	told    bool      // that beats arrive
	toldWhy string
	sent    uint64
	failed  bool
	seq     uint16
	frame   []byte
}

// bounce sends one round, if it is time for one.
func (r *run) bounce(beat []byte, need uint32, now time.Time) {
	if !r.on {
		r.begin(now)
	}
	r.look(now)
	r.tellArrivals(now)
	if r.port == nil || len(r.plan.targets) == 0 || !r.due(now) {
		return
	}
	r.round = now
	r.seq++
	var failed error
	for i, peer := range r.plan.peers {
		if need&(1<<i) == 0 || !peer.IsValid() {
			continue
		}
		for copies := range most { // always that many: where there is one mirror only, a lost frame must not count for more
			t := r.plan.targets[copies%len(r.plan.targets)]
			q := request{Src: r.plan.src, Dst: t.mac, Peer: peer, Mirror: t.addr, Seq: r.seq, Beat: beat}
			r.frame = q.appendTo(r.frame[:0])
			if err := r.port.Send(r.frame); err != nil {
				failed = err
				continue
			}
			r.sent++
		}
	}
	if (failed != nil) != r.failed {
		r.failed = failed != nil
		if r.failed {
			r.m.log.Warn("beats cannot be sent to mirrors", "err", failed)
		}
	}
	r.publish()
}

// due says whether a round may be sent.
func (r *run) due(now time.Time) bool {
	since := now.Sub(r.round)
	return since >= seldom || since >= roundGap && now.Sub(r.hope) < hopeful
}

func (r *run) begin(now time.Time) {
	n := r.m.cfg.Delivered()
	*r = run{m: r.m, on: true, began: now, hope: now, base: n, frame: r.frame, seq: r.seq}
	r.m.came.Store(0)
	r.m.log.Info("no path to a peer works both ways, asking mirrors")
	r.publish()
}

// look brings plan and port up to date with the link.
func (r *run) look(now time.Time) {
	ended := false
	if r.port != nil {
		select {
		case <-r.port.Ended():
			ended = true
		default:
		}
	}
	wait := lookEvery
	if len(r.plan.targets) == 0 && now.Sub(r.began) < lookEvery {
		wait = lookSoon
	}
	if !ended && now.Sub(r.looked) < wait {
		return
	}
	r.looked = now
	l := r.m.cfg.Link()
	was := r.plan.names()
	r.plan = makePlan(l, r.m.cfg.Peers, r.m.cfg.Mirrors)
	if r.port != nil && (ended || l.Index != r.index || r.plan.six != r.six) {
		r.close()
	}
	if r.port == nil && r.plan.why == "" {
		port, err := r.m.cfg.Open(l.Index, r.plan.six, r.m.receive)
		if err != nil {
			r.plan.why, r.plan.targets = err.Error(), nil
		} else {
			r.port, r.index, r.six = port, l.Index, r.plan.six
		}
	}
	switch names := r.plan.names(); {
	case names != "" && names != was:
		r.toldWhy = ""
		r.m.log.Info("beats go by mirrors", "mirrors", names)
	case r.plan.why != "" && r.plan.why != r.toldWhy && now.Sub(r.began) >= lookEvery/2:
		r.toldWhy = r.plan.why
		r.m.log.Info("no mirror can be used", "reason", r.plan.why)
	}
	r.publish()
}

// tellArrivals logs that mirrors work, once: then it is the path that is broken, not the peer.
func (r *run) tellArrivals(now time.Time) {
	if n := r.m.came.Load(); n > r.seen { // genuine or not: a peer that has just started must first prove itself
		r.seen, r.hope = n, now
	}
	if !r.told && r.m.cfg.Delivered() > r.base {
		r.told = true
		r.m.log.Warn("beats arrive by mirrors: the path between the nodes is broken", "mirrors", r.plan.names(), "took", now.Sub(r.began).Round(time.Millisecond))
	}
}

// end lets go of what is open, and tells how it went.
func (r *run) end(now time.Time) {
	if !r.on {
		return
	}
	r.on = false
	r.close()
	r.m.log.Info("a direct path works again, mirrors are left alone", "took", now.Sub(r.began).Round(time.Millisecond),
		"mirrors", r.plan.names(), "sent", r.sent, "came", r.m.came.Load(), "delivered", r.m.cfg.Delivered()-r.base)
	r.publish()
}

func (r *run) close() {
	if r.port == nil {
		return
	}
	if err := r.port.Close(); err != nil {
		r.m.log.Debug("closing the mirrors' sockets failed", "err", err)
	}
	r.port = nil
}

func (r *run) publish() {
	s := State{Needed: r.on, Since: r.began, Why: r.plan.why, Sent: r.sent, Delivered: r.base}
	for _, t := range r.plan.targets {
		s.Mirrors = append(s.Mirrors, t.addr)
	}
	if !r.on {
		s = State{}
	}
	r.m.mu.Lock()
	r.m.state = s
	r.m.mu.Unlock()
}
