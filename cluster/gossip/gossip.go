package gossip

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"
)

const (
	defaultName   = "tandem"
	defaultRejoin = 400 * time.Millisecond
	maxName       = 64 // bytes of a node's name
)

// Gossip keeps the membership of this node. Its methods may be called by any goroutine at any time; none of them but Run blocks.
type Gossip struct {
	cfg     Config
	key     []byte // memberlist's, derived from cfg.Key
	log     hclog.Logger
	changed chan struct{} // to the reader of Snapshot
	wake    chan struct{} // to watch: there are events to log
	publish chan struct{} // to publishMeta: meta has changed

	mu      sync.Mutex // guards what follows; held for moments only, since memberlist's callbacks take it under its own lock
	meta    Meta
	table   table
	events  []event
	open    []Problem
	dropped int  // log lines that found no room in events
	closed  bool // Run is over: stray callbacks change nothing
}

// New checks cfg and prepares the membership; it opens no socket and starts nothing. log is used by Run only.
func New(cfg Config, log hclog.Logger) (*Gossip, error) {
	if cfg.Name == "" {
		cfg.Name = defaultName
	}
	if cfg.Rejoin == 0 {
		cfg.Rejoin = defaultRejoin
	}
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g := &Gossip{
		cfg:     cfg,
		log:     log,
		changed: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		publish: make(chan struct{}, 1),
		table:   newTable(),
	}
	if len(cfg.Key) > 0 {
		// The cluster key also serves beats and streams: each use gets a key of its own.
		key, err := hkdf.Key(sha256.New, cfg.Key, nil, "tandem gossip v1", 32)
		if err != nil {
			return nil, fmt.Errorf("gossip: derive the key: %w", err)
		}
		g.key = key
	}
	return g, nil
}

// check returns all that is wrong with cfg.
func check(cfg Config) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkName(cfg.Node); err != nil {
		bad("node: %w", err)
	}
	if len(cfg.Name) > memberlist.LabelMaxSize {
		bad("cluster name: %d bytes long, at most %d are allowed", len(cfg.Name), memberlist.LabelMaxSize)
	}
	if n := len(cfg.Key); n != 0 && n != 32 {
		bad("key: %d bytes long, 32 are needed", n)
	}
	if cfg.Rejoin < 0 {
		bad("rejoin: %s is negative", cfg.Rejoin)
	}
	addr := func(what string, a netip.AddrPort) {
		switch {
		case !a.IsValid() || a.Port() == 0:
			bad("%s: %s is not an address with a port", what, a)
		case a.Addr().IsUnspecified():
			bad("%s: %s stands for every address of a host; give the one that the other nodes reach", what, a)
		case a.Addr().Zone() != "":
			bad("%s: %s has a zone, which other hosts do not know; give a global or unique local address", what, a)
		}
	}
	addr("bind", cfg.Bind)
	if len(cfg.Peers) >= maxMembers {
		bad("peers: %d, at most %d are allowed", len(cfg.Peers), maxMembers-1)
	}
	for _, p := range cfg.Peers {
		addr("peer", p)
		if p == cfg.Bind {
			bad("peer: %s is this node's own address; list the others only", p)
		}
	}
	return errors.Join(errs...)
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty; give each node a name of its own")
	case len(name) > maxName:
		return fmt.Errorf("the name is %d bytes long, at most %d are allowed", len(name), maxName)
	}
	for _, c := range []byte(name) {
		if c <= 0x20 || c > 0x7e {
			return fmt.Errorf("the name %q has a character that is not allowed; allowed is printable ASCII without spaces", name)
		}
	}
	return nil
}

// SetMeta tells the other nodes about this one, in a few tens of milliseconds. It never blocks; of several quick calls
// the last one counts. Call it once before Run, so that nobody sees a node without a boot id.
func (g *Gossip) SetMeta(m Meta) {
	m = m.bounded()
	g.mu.Lock()
	same := g.meta.equal(m)
	g.meta = m
	g.mu.Unlock()
	if !same {
		g.tell(event{kind: ownChanged})
		poke(g.publish)
	}
}

// Snapshot returns every other node met, sorted by name, the lost and left ones too (the oldest of them are forgotten
// beyond 64 members). It is a copy.
func (g *Gossip) Snapshot() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.table.snapshot()
}

// Problems returns what keeps peers from being full members now, at most a second late. A problem that is not seen for 10 s is over.
func (g *Gossip) Problems() []Problem {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.open)
}

// Changed is poked when Snapshot has something new. It has room for one poke and is never closed; one reader may use it.
func (g *Gossip) Changed() <-chan struct{} { return g.changed }

// change runs f on the table and sends its events on their way. It is the only door for callbacks.
func (g *Gossip) change(f func(t *table, now time.Time) []event) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	evs := f(&g.table, time.Now())
	if len(g.events) < 4*maxEvents {
		g.events = append(g.events, evs...)
	} else {
		g.dropped += len(evs) // the log is stuck; the table is not
	}
	g.mu.Unlock()
	if len(evs) > 0 {
		poke(g.wake)
		poke(g.changed)
	}
}

// tell sends an event that is about no state. It may be dropped.
func (g *Gossip) tell(ev event) {
	g.mu.Lock()
	if g.closed || len(g.events) >= maxEvents {
		g.dropped++
		g.mu.Unlock()
		return
	}
	g.events = append(g.events, ev)
	g.mu.Unlock()
	poke(g.wake)
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
