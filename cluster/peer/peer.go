package peer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

const (
	maxPeers = 16
	// inboxSize is how many messages may wait for the reader before streams wait for it: far more than a handover has.
	inboxSize = 64
	// lost is the age from which a stream gives way to any new one between the same processes: nodes dial only when they have none, and
	// streams that both dialed at the same time are not that far apart (dialing and handshake have 1 s each).
	lost = 3 * time.Second
)

// ErrNoStream is returned by Send when there is no stream to the node.
var ErrNoStream = errors.New("no stream to this node")

// Streams keeps one stream to each peer. Its methods may be called by any goroutine.
type Streams struct {
	cfg     Config
	log     hclog.Logger
	id      identity
	inbox   chan Message
	changed chan struct{}
	strange chan struct{} // a slot per connection of a stranger in its handshake
	known   chan struct{} // the same for the addresses of peers, whom strangers must not crowd out
	wg      sync.WaitGroup

	mu    sync.Mutex // guards what follows
	nodes map[string]*node
	names map[netip.AddrPort]string // who answered at a configured address
	told  map[string]time.Time      // when a refusal was logged last
}

// node is one peer.
type node struct {
	state State
	cur   *stream
	// of the log: streams that flap, as with a node name used twice, are told once a minute
	toldUp  time.Time
	endings int  // streams that ended since toldUp
	silent  bool // the present stream's beginning was not told, nor is its end
}

// New checks cfg. It opens nothing.
func New(cfg Config, log hclog.Logger) (*Streams, error) {
	key, err := seal.NewKey(cfg.Key)
	errs := []error{err, seal.CheckName(cfg.Node)}
	if cfg.Boot == 0 {
		errs = append(errs, errors.New("the boot id is 0; it must be random"))
	}
	if !cfg.Bind.IsValid() && (cfg.Listen == nil || cfg.Dial == nil) {
		errs = append(errs, errors.New("no address to listen on for peer streams"))
	}
	if len(cfg.Peers) > maxPeers {
		errs = append(errs, fmt.Errorf("%d peers; at most %d are possible", len(cfg.Peers), maxPeers))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Keepalive <= 0 {
		cfg.Keepalive = 10 * time.Second
	}
	return &Streams{
		cfg: cfg, log: log,
		id:      identity{key: key, cluster: seal.Cluster(cfg.Cluster), boot: cfg.Boot, name: cfg.Node},
		inbox:   make(chan Message, inboxSize),
		changed: make(chan struct{}, 1),
		strange: make(chan struct{}, maxStrangers),
		known:   make(chan struct{}, maxPeers),
		nodes:   map[string]*node{}, names: map[netip.AddrPort]string{}, told: map[string]time.Time{},
	}, nil
}

// Run listens, dials, and keeps the streams, until ctx is done; then it says bye on each, and returns when all that it started has ended. It may
// be called once.
func (p *Streams) Run(ctx context.Context) error {
	open, err := p.listen(ctx)
	if err != nil {
		return err
	}
	for _, l := range open {
		p.wg.Go(func() { p.acceptLoop(ctx, l) })
	}
	for i, addr := range p.cfg.Peers {
		p.wg.Go(func() { p.dialLoop(ctx, addr, p.waysTo(i)) })
	}
	<-ctx.Done()
	closeAll(open)
	p.wg.Wait()
	return nil
}

// Send sends m to a node; From is ignored. It waits only while the socket's buffer is full, and at most 1 s. That it returns nil does not mean that
// the message has arrived.
func (p *Streams) Send(ctx context.Context, to string, m Message) error {
	if len(m.Data) > MaxData {
		return fmt.Errorf("send to %s: %d bytes of data, at most %d are possible", to, len(m.Data), MaxData)
	}
	p.mu.Lock()
	var s *stream
	if n := p.nodes[to]; n != nil {
		s = n.cur
	}
	p.mu.Unlock()
	if s == nil {
		return fmt.Errorf("send to %s: %w", to, ErrNoStream)
	}
	if err := s.write(ctx, m); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// Inbox is where the messages of all peers arrive, those of each in order; Ping is not shown. Nothing is dropped: while it is full, the
// streams wait. It is never closed.
func (p *Streams) Inbox() <-chan Message { return p.inbox }

// States is what is known of every peer that ever had a stream. It is a copy.
func (p *Streams) States() map[string]State {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]State, len(p.nodes))
	for name, n := range p.nodes {
		all[name] = n.state
	}
	return all
}

// Changed is poked when a State changes.
func (p *Streams) Changed() <-chan struct{} { return p.changed }

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// join makes s the stream to its node, or decides that the one there stays. It returns the one to give up, if any.
func (p *Streams) join(s *stream) (loser *stream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[s.name]
	if n == nil {
		if len(p.nodes) >= maxPeers && !p.evict() {
			return nil, errCrowded
		}
		n = &node{state: State{Node: s.name}}
		p.nodes[s.name] = n
	}
	if n.cur != nil && !p.better(s, n.cur) {
		return s, nil
	}
	loser, n.cur = n.cur, s
	if n.state.Boot != s.boot {
		n.state.ByeAt = time.Time{}
	}
	n.state.Boot, n.state.BrokeAt = s.boot, time.Time{}
	if !n.state.Up {
		n.state.Up, n.state.Since = true, s.since
	}
	poke(p.changed)
	return loser, nil
}

// better decides between a new stream and the present one. Both ends must come to the same end, or they part from both and dial again.
func (p *Streams) better(s, cur *stream) bool {
	return s.boot != cur.boot || // the peer has restarted
		s.dialed == cur.dialed || s.since.Sub(cur.since) > lost || // who dialed had lost the present one
		s.dialed == (p.cfg.Node < s.name) // both dialed at once: that of the smaller name stays
}

// evict forgets the peer that has been away for longest.
func (p *Streams) evict() bool {
	var old *node
	for _, n := range p.nodes {
		if !n.state.Up && (old == nil || n.state.Since.Before(old.state.Since)) {
			old = n
		}
	}
	if old == nil {
		return false
	}
	delete(p.nodes, old.state.Node)
	return true
}

// leave takes s out, when its reader has seen it end by err.
func (p *Streams) leave(s *stream, err error, stopping bool) {
	broken := s.brokenBy(err) && !stopping
	why := s.why(err)
	p.mu.Lock()
	n := p.nodes[s.name]
	current, silent := n != nil && n.cur == s, false
	if current {
		n.endings++
		silent = n.silent
		now := time.Now()
		n.cur, n.state.Up, n.state.Since = nil, false, now
		if broken && n.state.ByeAt.IsZero() { // the bye may have come over another stream: at the start both dial
			n.state.BrokeAt = now
		}
		poke(p.changed)
	}
	p.mu.Unlock()
	if current && !silent {
		p.log.Info("stream ended", "peer", s.name, "reason", why)
	}
}

// bye notes that the peer is about to stop.
func (p *Streams) bye(s *stream) {
	s.gotBye.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.nodes[s.name]; n != nil && n.state.Boot == s.boot {
		n.state.ByeAt = time.Now()
		n.state.BrokeAt = time.Time{} // another of its streams may have ended first
		poke(p.changed)
	}
}
