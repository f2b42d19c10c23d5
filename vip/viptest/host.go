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
	lines      []*line // the first one is New's
	lives      map[netip.Prefix]*time.Timer
	watched    int
	indices    int // the newest link's
	gate       *gate
	strangers  map[string][]netip.Addr // by node
	noGate     error
	passErr    error
	noPort     error
	stuck      error
	neighbours map[netip.Addr]Neighbour
	slow       time.Duration
	adds       int
	sent       [][]byte
	knocks     announce.Answer
}

// line is a link. One that was removed has no index.
type line struct {
	name     string
	fact     link.Fact
	watchers map[int]func(link.Fact)
	port     *port
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
		start: time.Now(), lives: make(map[netip.Prefix]*time.Timer),
		neighbours: make(map[netip.Addr]Neighbour), indices: 1,
	}
	h.AddLink(name, mac, own...)
	return h
}

// AddLink puts a link into the host, up, with addresses of its own; or puts one back that was removed.
func (h *Host) AddLink(name string, mac net.HardwareAddr, own ...netip.Prefix) {
	h.mu.Lock()
	h.indices++
	f := link.Fact{Name: name, Index: h.indices, Up: true, Carrier: true, MAC: mac}
	for _, p := range own {
		f.Addrs = append(f.Addrs, link.Addr{Prefix: p, Permanent: true})
	}
	h.line(name)
	h.mu.Unlock()
	h.change(name, func(was *link.Fact) { *was = f })
}

// RemoveLink takes a link out of the host, as `ip link del` does, with all that is on it.
func (h *Host) RemoveLink(name string) {
	h.change(name, func(f *link.Fact) {
		for _, a := range f.Addrs {
			if t := h.lives[a.Prefix]; t != nil {
				t.Stop()
				delete(h.lives, a.Prefix)
			}
		}
		*f = link.Fact{Name: name}
	})
}

// line returns the link of a name; there is one for each that was asked for. h.mu is held.
func (h *Host) line(name string) *line {
	for _, l := range h.lines {
		if l.name == name {
			return l
		}
	}
	l := &line{name: name, fact: link.Fact{Name: name}, watchers: make(map[int]func(link.Fact))}
	h.lines = append(h.lines, l)
	return l
}

// at returns the link with an index, or nil. h.mu is held.
func (h *Host) at(index int) *line {
	i := slices.IndexFunc(h.lines, func(l *line) bool { return l.fact.Index == index && index != 0 })
	if i < 0 {
		return nil
	}
	return h.lines[i]
}

// first is the name of the first link, which the methods without a link mean.
func (h *Host) first() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lines[0].name
}

// where is the name of the link that an address is on; the first one's if it is on none.
func (h *Host) where(p netip.Prefix) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		if slices.ContainsFunc(l.fact.Addrs, func(a link.Addr) bool { return a.Prefix == p }) {
			return l.name
		}
	}
	return h.lines[0].name
}

// change changes a link and tells its watchers.
func (h *Host) change(name string, f func(*link.Fact)) {
	h.mu.Lock()
	l := h.line(name)
	l.fact.Addrs = slices.Clone(l.fact.Addrs)
	f(&l.fact)
	fact := l.fact
	var tell []func(link.Fact)
	for _, w := range l.watchers {
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
	h.line(name).watchers[id] = each
	h.mu.Unlock()
	f, _ := h.Look(name)
	each(f)
	<-ctx.Done()
	h.mu.Lock()
	delete(h.line(name).watchers, id)
	h.mu.Unlock()
	return nil
}

// Look implements vip.System.
func (h *Host) Look(name string) (link.Fact, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.line(name).fact
	f.Addrs = slices.Clone(f.Addrs)
	return f, nil
}

// Neighbours implements vip.System.
func (h *Host) Neighbours(int) ([]netip.Addr, error) { return nil, nil }

// Add implements vip.System.
func (h *Host) Add(index int, p netip.Prefix, life time.Duration) error {
	h.mu.Lock()
	h.adds++
	slow, l := h.slow, h.at(index)
	h.mu.Unlock()
	time.Sleep(slow)
	if l == nil {
		return errors.New("no such device")
	}
	h.change(l.name, func(f *link.Fact) {
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
	slow, stuck := h.slow, h.stuck
	h.mu.Unlock()
	time.Sleep(slow)
	if stuck != nil {
		return stuck
	}
	h.Delete(p)
	return nil
}

// Delete takes an address off the link, as an administrator or the end of its lifetime does.
func (h *Host) Delete(p netip.Prefix) {
	h.change(h.where(p), func(f *link.Fact) {
		if t := h.lives[p]; t != nil {
			t.Stop()
			delete(h.lives, p)
		}
		f.Addrs = slices.DeleteFunc(f.Addrs, func(a link.Addr) bool { return a.Prefix == p })
	})
}

// Configure puts a permanent address on the link, as an administrator does.
func (h *Host) Configure(p netip.Prefix) {
	h.change(h.first(), func(f *link.Fact) { f.Addrs = append(f.Addrs, link.Addr{Prefix: p, Permanent: true}) })
}

// SetCarrier plugs the cable in, or pulls it out.
func (h *Host) SetCarrier(up bool) { h.SetCarrierOf(h.first(), up) }

// SetCarrierOf does so with a link.
func (h *Host) SetCarrierOf(name string, up bool) {
	h.change(name, func(f *link.Fact) { f.Carrier = up })
}

// SetMAC changes the link's hardware address.
func (h *Host) SetMAC(m net.HardwareAddr) { h.change(h.first(), func(f *link.Fact) { f.MAC = m }) }

// SetSlow makes every change of an address take that long, as it does while somebody else holds the kernel's routing lock.
func (h *Host) SetSlow(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slow = d
}

// SetStuck makes the kernel refuse to remove addresses, for a reason, or, with nil, do it again.
func (h *Host) SetStuck(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stuck = why
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
	return slices.ContainsFunc(h.lines, func(l *line) bool {
		return slices.ContainsFunc(l.fact.Addrs, func(a link.Addr) bool { return a.Prefix == p })
	})
}

// Answers says whether the host would answer a question for an address by ARP or ND now.
func (h *Host) Answers(a netip.Addr) bool { return h.passes(a, fence.Open) }

// Serves says whether the host would take an IP packet to an address now.
func (h *Host) Serves(a netip.Addr) bool { return h.passes(a, fence.Quiet) }

func (h *Host) passes(a netip.Addr, least fence.Mode) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	on := slices.ContainsFunc(h.lines, func(l *line) bool {
		_, has := l.fact.Find(a)
		return has && l.fact.Up && l.fact.Carrier
	})
	if !on {
		return false
	}
	return h.gate == nil || !h.gate.installed || h.gate.now() >= least
}
