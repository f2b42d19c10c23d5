package pulse

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

// mirrorMax is how many datagrams from other paths may wait: two beats of each of 16 peers and some.
const mirrorMax = 64

// Pulse sends this node's beats and listens to those of the others. Its methods may be called by any goroutine and, Run aside, never block.
type Pulse struct {
	cfg     Config
	log     hclog.Logger
	board   board
	count   counters
	news    news
	changed chan struct{}
	mirrors chan mirrored

	beat   atomic.Pointer[Beat] // what to send; nil: nothing yet
	urgent atomic.Bool          // send it at once
	waker  atomic.Pointer[Transport]

	thread thread
}

// mirrored is a datagram that came by another way than the transport.
type mirrored struct {
	data []byte
	from netip.AddrPort
	at   time.Time
}

// New checks cfg. It opens nothing.
func New(cfg Config, log hclog.Logger) (*Pulse, error) {
	key, err := check(cfg)
	if err != nil {
		return nil, err
	}
	secret, err := key.Derive("tandem beat v1", nil, 32)
	if err != nil {
		return nil, err
	}
	p := &Pulse{
		cfg: cfg, log: log,
		changed: make(chan struct{}, 1),
		mirrors: make(chan mirrored, mirrorMax),
		news:    newNews(cfg.Peers),
	}
	p.board.base, p.board.every, p.board.paths = time.Now(), cfg.Every, 1+len(cfg.Paths)
	mac := seal.NewMAC(secret)
	p.thread = thread{p: p, mac: mac, table: table{
		name: cfg.Node, boot: cfg.Boot, keyID: key.ID, openID: seal.OpenID(), cluster: seal.Cluster(cfg.Cluster),
		mac: mac, failover: cfg.Failover, paths: 1 + len(cfg.Paths), peers: map[string]*peerState{},
	}, votes: newVotes(cfg.Votes, cfg.Boot, cfg.Every)}
	return p, nil
}

func check(cfg Config) (seal.Key, error) {
	key, err := seal.NewKey(cfg.Key)
	errs := []error{err, seal.CheckName(cfg.Node)}
	if cfg.Boot == 0 {
		errs = append(errs, errors.New("the boot id is 0; it must be random"))
	}
	if cfg.Every <= 0 || cfg.Failover < 2*cfg.Every {
		errs = append(errs, fmt.Errorf("a beat every %s does not fit into a failover time of %s; at least two must", cfg.Every, cfg.Failover))
	}
	if !cfg.Bind.IsValid() && cfg.Transport == nil {
		errs = append(errs, errors.New("no address to listen on for beats"))
	}
	if len(cfg.Peers) > maxPeers {
		errs = append(errs, fmt.Errorf("%d peers; at most %d are possible", len(cfg.Peers), maxPeers))
	}
	if len(cfg.Paths) >= MaxPaths {
		errs = append(errs, fmt.Errorf("%d further paths; at most %d are possible", len(cfg.Paths), MaxPaths-1))
	}
	for _, w := range cfg.Paths {
		if len(w.Peers) > len(cfg.Peers) {
			errs = append(errs, fmt.Errorf("the path of %s has %d peers, more than there are", w.Bind, len(w.Peers)))
		}
	}
	return key, errors.Join(errs...)
}

// Run sends and receives until ctx is done, and returns when all that it started has ended. It may be called once. Beats that Publish has made
// urgent are still sent when ctx is done.
func (p *Pulse) Run(ctx context.Context) error {
	own := p.cfg.Transport == nil
	tr := p.cfg.Transport
	if own {
		binds := []netip.AddrPort{p.cfg.Bind}
		for _, w := range p.cfg.Paths {
			binds = append(binds, w.Bind)
		}
		s, err := openSockets(binds)
		if err != nil {
			return err
		}
		tr = s
	}
	p.waker.Store(&tr)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { // waker
		<-ctx.Done()
		tr.Wake()
	})
	wg.Go(func() { p.tell(ctx) })
	var err error
	wg.Go(func() { // beater
		defer cancel()
		if own {
			// Never unlocked: the thread has another priority than its siblings, and ends with this goroutine.
			runtime.LockOSThread()
			p.news.priority(setRealTime())
		}
		err = p.thread.loop(ctx, tr)
	})
	wg.Wait()
	if cerr := tr.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close the socket of the beats: %w", cerr)
	}
	return err
}

// Publish sets the facts that beats carry from now on; Node, Boot and Seq are filled in. A change of what others decide by (holder, term, fitness,
// leaving, wants, late) is sent at once. Nothing is sent before the first call, and who sends nothing is not answered: it hears nobody new.
func (p *Pulse) Publish(b Beat) {
	b.Node, b.Boot, b.Seq = p.cfg.Node, p.cfg.Boot, 0
	old := p.beat.Swap(&b)
	if old != nil && !matters(old, &b) {
		return
	}
	p.urgent.Store(true)
	p.wake()
}

// matters reports whether others should hear of the change before the next tick.
func matters(a, b *Beat) bool {
	return a.Holds != b.Holds || a.Term != b.Term || a.Newest != b.Newest || a.Fit != b.Fit ||
		a.Leaving != b.Leaving || a.Wants != b.Wants || a.Late != b.Late || a.Answered != b.Answered || a.Settling != b.Settling ||
		a.Maintenance != b.Maintenance || a.ByHand != b.ByHand || a.Quorate != b.Quorate || a.Stands != b.Stands || a.Yields != b.Yields ||
		a.Vote.Plea != b.Vote.Plea || a.Vote.Favours != b.Vote.Favours
}

// Receive takes a datagram that came by another way than the transport, and arrived at the given time. It copies data. from is for the log only.
func (p *Pulse) Receive(data []byte, from netip.AddrPort, at time.Time) {
	m := mirrored{data: append([]byte(nil), data[:min(len(data), maxSize+1)]...), from: from, at: at}
	select {
	case p.mirrors <- m:
		p.wake()
	default:
		p.count.overrun.Add(1)
	}
}

// Snapshot is what is known of the peers now.
func (p *Pulse) Snapshot() Snapshot { return p.board.snapshot(time.Now()) }

// Changed is poked when a peer was heard for the first time, again after half the silence budget, or in a new life, and when anything
// that a beat says changed, HearsMe included. It is not poked by silence: HeardAt tells when to look.
func (p *Pulse) Changed() <-chan struct{} { return p.changed }

// Overslept is how long, in sum, the beat thread was late by more than one beat, and when that was noticed last. While it is late, it is lastAt that is now.
func (p *Pulse) Overslept() (total time.Duration, lastAt time.Time) {
	return p.board.overslept(time.Now())
}

// Stats counts what became of datagrams.
func (p *Pulse) Stats() Stats { return p.count.stats() }

func (p *Pulse) wake() {
	if tr := p.waker.Load(); tr != nil {
		(*tr).Wake()
	}
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
