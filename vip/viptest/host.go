package viptest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

// Host is a vip.System. Its time is time.Now's, which a test bubble can turn. All methods may be called concurrently.
type Host struct {
	mu         sync.Mutex // guards the rest
	start      time.Time
	suspended  time.Duration
	fact       link.Fact
	lives      map[netip.Prefix]*time.Timer
	watchers   map[int]func(link.Fact)
	watched    int
	gate       *gate
	noGate     error
	noPort     error
	port       *port
	neighbours map[netip.Addr]Neighbour
	slow       time.Duration
	adds       int
	sent       [][]byte
	knocks     announce.Answer
}

// Neighbour is another host on the wire.
type Neighbour struct {
	MAC announce.MAC
	// Shadow answers questions to everybody, and none to itself: a switch that answers for a host that is gone.
	Shadow bool
}

var _ vip.System = (*Host)(nil)

// New returns a host with one link, up, with the given addresses of its own.
func New(name string, mac net.HardwareAddr, own ...netip.Prefix) *Host {
	h := &Host{
		start: time.Now(), lives: make(map[netip.Prefix]*time.Timer), watchers: make(map[int]func(link.Fact)),
		neighbours: make(map[netip.Addr]Neighbour),
		fact:       link.Fact{Name: name, Index: 2, Up: true, Carrier: true, MAC: mac},
	}
	for _, p := range own {
		h.fact.Addrs = append(h.fact.Addrs, link.Addr{Prefix: p, Permanent: true})
	}
	return h
}

// change changes the link and tells the watchers.
func (h *Host) change(f func(*link.Fact)) {
	h.mu.Lock()
	h.fact.Addrs = slices.Clone(h.fact.Addrs)
	f(&h.fact)
	fact := h.fact
	var tell []func(link.Fact)
	for _, w := range h.watchers {
		tell = append(tell, w)
	}
	h.mu.Unlock()
	for _, w := range tell {
		w(fact)
	}
}

// Watch implements vip.System.
func (h *Host) Watch(ctx context.Context, name string, each func(link.Fact)) error {
	h.mu.Lock()
	h.watched++
	id := h.watched
	h.watchers[id] = each
	h.mu.Unlock()
	f, _ := h.Look(name)
	each(f)
	<-ctx.Done()
	h.mu.Lock()
	delete(h.watchers, id)
	h.mu.Unlock()
	return nil
}

// Look implements vip.System.
func (h *Host) Look(name string) (link.Fact, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name != h.fact.Name {
		return link.Fact{Name: name}, nil
	}
	f := h.fact
	f.Addrs = slices.Clone(f.Addrs)
	return f, nil
}

// Neighbours implements vip.System.
func (h *Host) Neighbours(int) ([]netip.Addr, error) { return nil, nil }

// Add implements vip.System.
func (h *Host) Add(index int, p netip.Prefix, life time.Duration) error {
	h.mu.Lock()
	h.adds++
	slow, there := h.slow, h.fact.Index == index
	h.mu.Unlock()
	time.Sleep(slow)
	if !there {
		return errors.New("no such device")
	}
	h.change(func(f *link.Fact) {
		if t := h.lives[p]; t != nil {
			t.Stop()
		}
		h.lives[p] = time.AfterFunc(life, func() { h.Delete(p) })
		f.Addrs = slices.DeleteFunc(f.Addrs, func(a link.Addr) bool { return a.Prefix == p })
		f.Addrs = append(f.Addrs, link.Addr{Prefix: p})
	})
	return nil
}

// Remove implements vip.System.
func (h *Host) Remove(_ int, p netip.Prefix) error {
	h.mu.Lock()
	slow := h.slow
	h.mu.Unlock()
	time.Sleep(slow)
	h.Delete(p)
	return nil
}

// Delete takes an address off the link, as an administrator or the end of its lifetime does.
func (h *Host) Delete(p netip.Prefix) {
	h.change(func(f *link.Fact) {
		if t := h.lives[p]; t != nil {
			t.Stop()
			delete(h.lives, p)
		}
		f.Addrs = slices.DeleteFunc(f.Addrs, func(a link.Addr) bool { return a.Prefix == p })
	})
}

// Configure puts a permanent address on the link, as an administrator does.
func (h *Host) Configure(p netip.Prefix) {
	h.change(func(f *link.Fact) { f.Addrs = append(f.Addrs, link.Addr{Prefix: p, Permanent: true}) })
}

// SetCarrier plugs the cable in, or pulls it out.
func (h *Host) SetCarrier(up bool) { h.change(func(f *link.Fact) { f.Carrier = up }) }

// SetMAC changes the link's hardware address.
func (h *Host) SetMAC(m net.HardwareAddr) { h.change(func(f *link.Fact) { f.MAC = m }) }

// SetSlow makes every change of an address take that long, as it does while somebody else holds the kernel's routing lock.
func (h *Host) SetSlow(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slow = d
}

// Adds counts how often an address was put on the link, or its lifetime begun anew, or was about to be.
func (h *Host) Adds() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.adds
}

// Suspend lets the boot clock, and nothing else, move on.
func (h *Host) Suspend(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspended += d
}

// Clock implements vip.System.
func (h *Host) Clock() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.start) + h.suspended
}

// Close implements vip.System. The host itself stays usable: a keeper may be started on it again.
func (h *Host) Close() error { return nil }

// Has says whether an address is on the link.
func (h *Host) Has(p netip.Prefix) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.fact.Addrs, func(a link.Addr) bool { return a.Prefix == p })
}

// Answers says whether the host would answer a question for an address by ARP or ND now.
func (h *Host) Answers(a netip.Addr) bool { return h.passes(a, fence.Open) }

// Serves says whether the host would take an IP packet to an address now.
func (h *Host) Serves(a netip.Addr) bool { return h.passes(a, fence.Quiet) }

func (h *Host) passes(a netip.Addr, least fence.Mode) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	on := slices.ContainsFunc(h.fact.Addrs, func(x link.Addr) bool { return x.Prefix.Addr() == a })
	if !on || !h.fact.Up || !h.fact.Carrier {
		return false
	}
	return h.gate == nil || !h.gate.installed || h.gate.now() >= least
}
