package byhand

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/peer"
)

// wire connects boards, and can be cut, or lose every other message.
type wire struct {
	mu     sync.Mutex
	boards map[string]*Board
	boots  map[string]uint64
	cut    bool
	lossy  bool
	sent   int
}

// end is one node's way to the others.
type end struct {
	*wire
	node string
}

func (e end) Send(_ context.Context, to string, m peer.Message) error {
	e.mu.Lock()
	e.sent++
	b, lost := e.boards[to], e.cut || e.lossy && e.sent%2 == 0
	e.mu.Unlock()
	if lost || b == nil {
		return nil
	}
	m.From = e.node
	b.Receive(m)
	return nil
}

func (e end) States() map[string]peer.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]peer.State{}
	for name := range e.boards {
		if name != e.node {
			out[name] = peer.State{Node: name, Boot: e.boots[name], Up: !e.cut}
		}
	}
	return out
}

func (w *wire) set(f func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// join starts a node; it runs until the returned function is called.
func (w *wire) join(t *testing.T, node, dir string) (*Board, func()) {
	t.Helper()
	b, err := Load(dir, node, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	w.set(func(w *wire) { w.boards[node], w.boots[node] = b, w.boots[node]+1 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx, end{w, node}) }()
	return b, func() { cancel(); <-done }
}

func newWire() *wire { return &wire{boards: map[string]*Board{}, boots: map[string]uint64{}} }

func same(t *testing.T, when string, boards ...*Board) {
	t.Helper()
	for _, b := range boards[1:] {
		if got, want := b.Orders(), boards[0].Orders(); !slices.Equal(got, want) {
			t.Errorf("%s: %+v here, %+v there", when, got, want)
		}
	}
}

func must(t *testing.T, b *Board, o Order) Order {
	t.Helper()
	o, err := b.Set(o)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatIsSaidLastCountsOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a, stopA := w.join(t, "lb1", t.TempDir())
		b, stopB := w.join(t, "lb2", t.TempDir())
		defer stopA()
		defer stopB()
		o := must(t, a, Order{Pool: "web", Backend: "w1", Word: Drain})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if told, not := a.Told(ctx, end{w, "lb1"}, o); !slices.Equal(told, []string{"lb2"}) || len(not) > 0 {
			t.Errorf("told %v, not %v", told, not)
		}
		same(t, "said", a, b)
		w.set(func(w *wire) { w.cut = true })
		must(t, a, Order{Pool: "web", Backend: "w1", Word: Maint}) // at the very same moment: the name decides
		must(t, b, Order{Pool: "web", Backend: "w1", Weight: 7})
		must(t, a, Order{Pool: "web", Backend: "w2", Weight: 9})
		time.Sleep(time.Second)
		must(t, b, Order{Pool: "web", Backend: "w2", Word: Drain})
		if _, not := a.Told(ctx, end{w, "lb1"}, o); len(not) > 0 {
			t.Errorf("it waited for %v, which cannot be reached", not)
		}
		w.set(func(w *wire) { w.cut = false })
		time.Sleep(3 * time.Second)
		same(t, "healed", a, b)
		got := a.Orders()
		if len(got) != 2 || got[0].Weight != 7 || got[0].Node != "lb2" || got[1].Word != Drain {
			t.Errorf("in force: %+v", got)
		}
		w.set(func(w *wire) { w.sent = 0 })
		time.Sleep(time.Hour)
		if w.sent > 0 {
			t.Errorf("%d messages about what everybody knows", w.sent)
		}
	})
}

func TestLostMessagesAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.lossy = true
		a, stopA := w.join(t, "lb1", t.TempDir())
		b, stopB := w.join(t, "lb2", t.TempDir())
		defer stopA()
		defer stopB()
		for _, name := range []string{"w1", "w2", "w3", "w4", "w5"} {
			must(t, a, Order{Pool: "web", Backend: name, Word: Maint})
		}
		time.Sleep(time.Minute)
		same(t, "after a minute", a, b)
	})
}

func TestOrdersSurviveRestartsAndReachWhoComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWire(), t.TempDir()
		a, stopA := w.join(t, "lb1", dir)
		must(t, a, Order{Pool: "web", Backend: "w1", Word: Drain, Reason: "new disk", By: "uid 0"})
		must(t, a, Order{Pool: "web", Backend: "w2", Weight: 3})
		b, stopB := w.join(t, "lb2", t.TempDir())
		time.Sleep(3 * time.Second)
		same(t, "a peer that came later", a, b)
		stopA()
		stopB()
		a, stopA = w.join(t, "lb1", dir)
		defer stopA()
		var applied []Order
		a.Start(func(o Order) { applied = append(applied, o) })
		if len(a.Orders()) != 2 || len(applied) != 2 || a.Orders()[0].Reason != "new disk" {
			t.Errorf("after a restart: %+v, applied %+v", a.Orders(), applied)
		}
		must(t, a, Order{Pool: "web", Backend: "w1"})
		b, stopB = w.join(t, "lb2", t.TempDir()) // started anew, and empty
		defer stopB()
		time.Sleep(3 * time.Second)
		same(t, "reset", a, b)
		if got := b.Orders(); len(got) != 1 || got[0].Backend != "w2" {
			t.Errorf("after a reset: %+v", got)
		}
	})
}

// A node that was away when a reset was said brings its old order back, and must not win.
func TestAResetWinsOverWhoMissedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dirA, dirB := newWire(), t.TempDir(), t.TempDir()
		a, stopA := w.join(t, "lb1", dirA)
		b, stopB := w.join(t, "lb2", dirB)
		must(t, a, Order{Pool: "web", Backend: "w1", Word: Drain})
		time.Sleep(3 * time.Second)
		same(t, "drained", a, b)
		stopB()
		w.set(func(w *wire) { delete(w.boards, "lb2") })
		must(t, a, Order{Pool: "web", Backend: "w1"})
		stopA()
		a, stopA = w.join(t, "lb1", dirA)
		defer stopA()
		b, stopB = w.join(t, "lb2", dirB)
		defer stopB()
		time.Sleep(3 * time.Second)
		if len(a.Orders())+len(b.Orders()) > 0 {
			t.Errorf("the old order is back: %+v, %+v", a.Orders(), b.Orders())
		}
	})
}

func TestWrongOrdersAreRefused(t *testing.T) {
	b, err := Load(t.TempDir(), "lb1", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Order{
		{Pool: "web"}, {Backend: "w1"}, {Pool: "web", Backend: "w1", Word: "stop"}, {Pool: "web", Backend: "w1", Weight: 257}, {Pool: "web", Backend: "w1", Weight: -1},
		{Pool: "web", Backend: "w1", Word: Drain, Reason: string(make([]byte, 201))}, {Pool: "web", Backend: "w\xff", Word: Drain},
	} {
		if _, err := b.Set(o); err == nil {
			t.Errorf("Set(%+v) was followed", o)
		}
	}
	if got := b.Orders(); len(got) > 0 {
		t.Errorf("in force: %+v", got)
	}
	b.Receive(peer.Message{Kind: peer.Share, From: "lb2", Data: []byte(`{"pool":"web","backend":"w1","word":"drain","node":"lb2","at":9223372036854775807}`)})
	if got := b.Orders(); len(got) > 0 {
		t.Errorf("an order of another century is in force: %+v", got)
	}
}

func TestAForeignFileIsToldAndLeftBehind(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":2,"orders":[]}`, `[]`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Load(dir, "lb1", hclog.NewNullLogger())
		if err == nil || b == nil {
			t.Errorf("%q: no warning", text)
		}
		if _, err := b.Set(Order{Pool: "web", Backend: "w1", Word: Drain}); err != nil {
			t.Error(err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"pool":"web","backend":"w1","word":"drain","weight":3,"reason":"r","by":"uid 0","node":"lb2","at":1}`), true)
	f.Fuzz(func(t *testing.T, data []byte, share bool) {
		b := &Board{node: "lb1", log: hclog.NewNullLogger(), apply: func(Order) {}, changed: make(chan struct{}, 1), orders: map[key]Order{}, knows: map[string]map[key]int64{"lb2": {}}, boots: map[string]uint64{}, news: make(chan struct{})}
		kind := peer.Shared
		if share {
			kind = peer.Share
		}
		b.Receive(peer.Message{Kind: kind, From: "lb2", Data: data})
		for _, o := range b.Orders() {
			if raw, err := o.encode(); err != nil {
				t.Errorf("%+v cannot be passed on: %v", o, err)
			} else if again, err := decode(raw, time.Now()); err != nil || again.key() != o.key() || again.At != o.At {
				t.Errorf("%+v became %+v on its way: %v", o, again, err)
			}
		}
	})
}
