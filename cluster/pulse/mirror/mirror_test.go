package mirror

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

const every = 10 * time.Millisecond

// wire is the link in memory.
type wire struct {
	mu     sync.Mutex // guards what follows
	open   int
	sent   [][]byte
	each   func([]byte)
	ended  chan struct{}
	heard  atomic.Uint64
	link   Link
	genuin bool
}

func (w *wire) Send(f []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, bytes.Clone(f))
	return nil
}
func (w *wire) Ended() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}
func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	return nil
}

// reader is what takes frames that come in; nil: nothing is open.
func (w *wire) reader() func([]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.each
}

// take returns what was sent since it was last called.
func (w *wire) take() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sent
	w.sent = nil
	return s
}

func start(t *testing.T, w *wire) (*Mirror, *bytes.Buffer) {
	t.Helper()
	ip := netip.MustParseAddr
	w.ended = make(chan struct{})
	if w.link.Index == 0 {
		w.link = Link{Index: 3, MAC: macA, Own: []netip.Prefix{netip.MustParsePrefix("10.0.0.11/24")},
			Neighbours: map[netip.Addr]net.HardwareAddr{ip("10.0.0.1"): macG, ip("10.0.0.21"): macG, ip("10.0.0.22"): macG, ip("10.0.0.23"): macG}}
	}
	var log bytes.Buffer
	m := New(Config{
		Peers:   [][]netip.Addr{{ip("10.0.0.12")}},
		Mirrors: []netip.Addr{ip("10.0.0.1"), ip("10.0.0.21"), ip("10.0.0.22"), ip("10.0.0.23")},
		Link:    func() Link { return w.link }, Delivered: w.heard.Load,
		Receive: func([]byte, netip.AddrPort, time.Time) {
			if w.genuin {
				w.heard.Add(1)
			}
		},
		Open: func(_ int, _ bool, each func([]byte)) (Port, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.open++
			w.each = each
			return w, nil
		},
	}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if w.open != 0 {
			t.Errorf("%d ports are open at the end", w.open)
		}
	})
	return m, &log
}

// beats gives the mirror a beat every 10 ms, and to the wire an answer for each if it is to.
func beats(m *Mirror, w *wire, need uint16, d time.Duration, answered bool) {
	for range d / every {
		m.Bounce(beat, need)
		if each := w.reader(); each != nil && answered {
			each(answer(asked()[0].appendTo(nil)))
		}
		time.Sleep(every)
		synctest.Wait()
	}
}

func TestNothingIsOpenedWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		m, log := start(t, &w)
		beats(m, &w, 0, time.Minute, false)
		if w.reader() != nil || len(w.take()) > 0 || log.Len() > 0 {
			t.Errorf("opened %v, log %q", w.reader() != nil, log)
		}
	})
}

func TestBeatsGoOffThreeMirrorsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire{genuin: true}
		m, log := start(t, &w)
		beats(m, &w, 1, time.Second, true)
		sent := w.take()
		var to []string
		for _, f := range sent {
			to = append(to, netip.AddrFrom4([4]byte(f[etherSize+16:])).String())
			if from := netip.AddrFrom4([4]byte(f[etherSize+12:])); from.String() != "10.0.0.12" {
				t.Fatalf("a frame in the name of %s, want the peer's", from)
			}
		}
		slices.Sort(to)
		if n := len(sent); n < 290 || n > 300 || !slices.Equal(slices.Compact(to), []string{"10.0.0.1", "10.0.0.21", "10.0.0.22"}) {
			t.Errorf("%d frames to %v, want three for each of 100 beats, to the first three", n, slices.Compact(to))
		}
		if s := m.State(); !s.Needed || len(s.Mirrors) != 3 || s.Delivered < 90 || s.Sent < 290 {
			t.Errorf("State = %+v", s)
		}
		beats(m, &w, 0, time.Second, false)
		if s := m.State(); s.Needed || w.open != 0 || len(w.take()) > 0 {
			t.Errorf("after the need: %+v, %d open", s, w.open)
		}
		for _, msg := range []string{"asking mirrors", "beats go by mirrors: mirrors=\"10.0.0.1 10.0.0.21 10.0.0.22\"", "the path between the nodes is broken", "mirrors are left alone", "delivered="} {
			if strings.Count(log.String(), msg) != 1 {
				t.Errorf("%q is not once in\n%s", msg, log)
			}
		}
	})
}

func TestADeadPeerIsAskedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		m, _ := start(t, &w)
		beats(m, &w, 1, hopeful+time.Second, false)
		w.take()
		beats(m, &w, 1, 10*time.Second, false)
		if n := len(w.take()); n < 27 || n > 33 {
			t.Errorf("%d frames in ten seconds, want three a second", n)
		}
		beats(m, &w, 1, 5*every, true) // it is back
		w.take()
		beats(m, &w, 1, time.Second, true)
		if n := len(w.take()); n < 290 {
			t.Errorf("%d frames a second after the peer's return, want 300", n)
		}
	})
}

func TestShortBudgetsDoNotFloodMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		m, _ := start(t, &w)
		for range 1000 {
			m.Bounce(beat, 1)
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if n := len(w.take()); n > 3*201 {
			t.Errorf("%d frames in a second, want at most 600", n)
		}
	})
}

func TestAFloodOfRepliesIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire{genuin: true}
		m, _ := start(t, &w)
		beats(m, &w, 1, 3*every, false)
		f := answer(asked()[0].appendTo(nil))
		for range 100_000 {
			w.reader()(f)
		}
		if n := w.heard.Load(); int(n) > floodMax {
			t.Errorf("%d of 100000 forged replies reached the pulse, want at most %d", n, floodMax)
		}
	})
}

func TestABrokenPortIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		m, _ := start(t, &w)
		beats(m, &w, 1, 3*every, false)
		w.mu.Lock()
		old := w.ended
		w.ended = make(chan struct{})
		w.mu.Unlock()
		close(old)
		w.take()
		beats(m, &w, 1, 3*every, false)
		if w.open != 1 || len(w.take()) < 6 {
			t.Errorf("%d ports are open", w.open)
		}
	})
}

func TestPlan(t *testing.T) {
	ip := netip.MustParseAddr
	own := []netip.Prefix{netip.MustParsePrefix("10.0.0.11/24"), netip.MustParsePrefix("fd00::11/64")}
	all := map[netip.Addr]net.HardwareAddr{
		ip("10.0.0.1"): macG, ip("10.0.0.12"): macG, ip("10.0.0.11"): macG, ip("10.0.0.21"): macG, ip("10.9.0.21"): macG, ip("fd00::1"): macG,
	}
	for _, c := range []struct {
		what    string
		link    Link
		peers   [][]netip.Addr
		mirrors []netip.Addr
		want    string // names, or a part of why
	}{
		{"the gateway", Link{1, macA, own, all}, [][]netip.Addr{{ip("10.0.0.12")}}, []netip.Addr{ip("10.0.0.1")}, "10.0.0.1"},
		{"neither a node nor another network", Link{1, macA, own, all}, [][]netip.Addr{{ip("10.0.0.12")}},
			[]netip.Addr{ip("10.0.0.12"), ip("10.0.0.11"), ip("10.9.0.21"), ip("10.0.0.21")}, "10.0.0.21"},
		{"in the family of the nodes", Link{1, macA, own, all}, [][]netip.Addr{{ip("fd00::12")}}, []netip.Addr{ip("10.0.0.1"), ip("fd00::1")}, "fd00::1"},
		{"by the second path", Link{1, macA, own, all}, [][]netip.Addr{{ip("192.168.9.2"), ip("10.0.0.12")}}, []netip.Addr{ip("10.0.0.1")}, "10.0.0.1"},
		{"unknown", Link{1, macA, own, nil}, [][]netip.Addr{{ip("10.0.0.12")}}, []netip.Addr{ip("10.0.0.1")}, "did not answer"},
		{"none", Link{1, macA, own, all}, [][]netip.Addr{{ip("10.0.0.12")}}, nil, "neither the gateway nor a backend"},
		{"no address there", Link{1, macA, own, all}, [][]netip.Addr{{ip("192.168.9.2")}}, []netip.Addr{ip("10.0.0.1")}, "no peer has an address"},
		{"no link", Link{}, [][]netip.Addr{{ip("10.0.0.12")}}, []netip.Addr{ip("10.0.0.1")}, "is not there"},
	} {
		p := makePlan(c.link, c.peers, c.mirrors)
		if got := p.names() + p.why; !strings.Contains(got, c.want) || (p.why == "") != (p.names() == c.want) {
			t.Errorf("%s: mirrors %q, why %q, want %q", c.what, p.names(), p.why, c.want)
		}
	}
}
