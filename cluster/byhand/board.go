package byhand

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/state"
)

const (
	fileName = "byhand.json"
	version  = 1
	// most bounds the orders: more backends than that nobody sets by hand.
	most    = 4096
	maxFile = most * 1024
	// again is after what time an order is sent once more that a peer has not confirmed, and atOnce how many of them are.
	again  = time.Second
	atOnce = 32
	// keptFor is how long a reset is remembered for those who missed it.
	keptFor = 30 * 24 * time.Hour
)

// ErrFull means that no more backends can be set by hand.
var ErrFull = fmt.Errorf("%d backends are set by hand already: reset some", most)

// Streams is the way to the other nodes.
type Streams interface {
	Send(ctx context.Context, node string, m peer.Message) error
	States() map[string]peer.State
}

// Board is what is set by hand, as this node knows it. Run tells the others, until each has said that it knows. Its methods may be called from any goroutine.
type Board struct {
	node    string
	dir     string
	log     hclog.Logger
	apply   func(Order)
	changed chan struct{}

	saving sync.Mutex // held while the file is written

	mu     sync.Mutex // guards the rest
	orders map[key]Order
	knows  map[string]map[key]int64 // by peer: the newest version of an order that it has confirmed, as its At
	boots  map[string]uint64        // of the peers that knows is about
	acks   []peer.Message           // to be sent; From is to whom
	dirty  bool                     // the file is older than orders
	news   chan struct{}            // closed and replaced when a peer confirms
}

// Load reads what was kept in dir. The board is fit for use whatever the warning says.
func Load(dir, node string, log hclog.Logger) (b *Board, warning error) {
	b = &Board{
		node: node, dir: dir, log: log, apply: func(Order) {}, changed: make(chan struct{}, 1),
		orders: map[key]Order{}, knows: map[string]map[key]int64{}, boots: map[string]uint64{}, news: make(chan struct{}),
	}
	raw, err := state.Read(filepath.Join(dir, fileName), maxFile+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, nil
	case err != nil:
		return b, err
	}
	var f file
	if err := json.Unmarshal(raw, &f); err != nil || f.Version != version || len(f.Orders) > most {
		return b, fmt.Errorf("%s makes no sense (version %d): going on without it; what the other nodes know comes from them: %w", filepath.Join(dir, fileName), f.Version, cmp.Or(err, errForeign))
	}
	now := time.Now()
	for _, o := range f.Orders {
		if o.check(now) == nil && !(o.IsReset() && now.Sub(o.Since()) > keptFor) {
			b.orders[o.key()] = o
		}
	}
	return b, nil
}

var errForeign = errors.New("not what this release writes")

type file struct {
	Version int     `json:"version"`
	Orders  []Order `json:"orders"`
}

// Start says where orders take effect, and puts those in force that are known. apply is called with one order at a time; it must not block, nor call back.
// It is called once, before Run.
func (b *Board) Start(apply func(Order)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apply = apply
	b.applyAll()
}

// Again puts all orders in force once more: after a reload, which may have brought the backends of some.
func (b *Board) Again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applyAll()
}

func (b *Board) applyAll() {
	for _, o := range b.orders {
		b.apply(o)
	}
}

// Set puts an order in force on this node, keeps it, and returns when that is on disk; the peers learn of it by Run. Node and At are filled in.
func (b *Board) Set(o Order) (Order, error) {
	now := time.Now()
	b.mu.Lock()
	before, was := b.orders[o.key()]
	o.Node, o.At = b.node, max(now.UnixNano(), before.At+1)
	err := o.check(now.Add(2 * ahead))
	if err == nil && !was && len(b.orders) >= most {
		err = ErrFull
	}
	if err == nil {
		_, err = o.encode()
	}
	if err != nil {
		b.mu.Unlock()
		return o, err
	}
	b.take(o)
	b.mu.Unlock()
	return o, b.save()
}

// take puts o in force. The caller holds mu.
func (b *Board) take(o Order) {
	b.orders[o.key()] = o
	b.dirty = true
	b.apply(o)
	poke(b.changed)
}

// Orders are all that are in force, by pool and backend.
func (b *Board) Orders() []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sorted(false)
}

// sorted lists the orders. The caller holds mu.
func (b *Board) sorted(resets bool) []Order {
	var out []Order
	for _, o := range b.orders {
		if resets || !o.IsReset() {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(x, y Order) int {
		return cmp.Or(cmp.Compare(x.Pool, y.Pool), cmp.Compare(x.Backend, y.Backend))
	})
	return out
}

// save writes the file, if it is not as the orders are.
func (b *Board) save() error {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	dirty, f := b.dirty, file{Version: version, Orders: b.sorted(true)}
	b.dirty = false
	b.mu.Unlock()
	if !dirty {
		return nil
	}
	raw, err := json.Marshal(f)
	if err == nil {
		err = state.Replace(b.dir, fileName, append(raw, '\n'))
	}
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("it is in force and will not outlive a restart: %w", err)
	}
	return nil
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
