package pulsetest

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
)

// Net carries datagrams between its ports at once. The zero value is ready. Its methods may be called by any goroutine.
type Net struct {
	mu    sync.Mutex // guards what follows
	ports map[netip.AddrPort]*Port
	cut   func(from, to netip.AddrPort) bool
	log   []Datagram
	tape  bool
	step  time.Duration
}

// Datagram is one that was sent.
type Datagram struct {
	From, To netip.AddrPort
	Data     []byte
}

// Cut decides from now on which datagrams are lost; nil: none.
func (n *Net) Cut(f func(from, to netip.AddrPort) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = f
}

// Record begins to keep what is sent, lost or not.
func (n *Net) Record() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tape = true
}

// Recorded is what was kept so far.
func (n *Net) Recorded() []Datagram {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Datagram(nil), n.log...)
}

// StepClock moves the wall clock by d as receive stamps see it from now on: stamps of datagrams that wait already were made before the step.
func (n *Net) StepClock(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.step += d
}

// Join opens a port. An older one with the same address is replaced, as after a restart.
func (n *Net) Join(addr netip.AddrPort) *Port {
	p := &Port{net: n, addr: addr, woken: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ports == nil {
		n.ports = map[netip.AddrPort]*Port{}
	}
	n.ports[addr] = p
	return p
}

// JoinPaths opens a port with further addresses, one for each path.
func (n *Net) JoinPaths(addr netip.AddrPort, paths ...netip.AddrPort) *Port {
	p := n.Join(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	p.paths = paths
	for _, a := range paths {
		n.ports[a] = p
	}
	return p
}

// Inject delivers data to the port at to, as if it came from from.
func (n *Net) Inject(data []byte, from, to netip.AddrPort) {
	n.mu.Lock()
	p := n.ports[to]
	step := n.step
	n.mu.Unlock()
	if p != nil {
		p.put(packet{append([]byte(nil), data...), from, time.Now().Add(step).UnixNano(), slices.Index(p.paths, to) + 1})
	}
}

// Port is one node's end: a pulse.Transport.
type Port struct {
	net   *Net
	addr  netip.AddrPort
	paths []netip.AddrPort // further addresses
	woken chan struct{}

	mu     sync.Mutex // guards what follows
	queue  []packet
	thaw   time.Time // frozen until then
	closed bool
}

type packet struct {
	data  []byte
	from  netip.AddrPort
	stamp int64
	path  int
}

var _ pulse.Transport = (*Port)(nil)

// Freeze keeps the node's beat thread from running for d, from its next wait on. Datagrams queue up meanwhile.
func (p *Port) Freeze(d time.Duration) {
	p.mu.Lock()
	p.thaw = time.Now().Add(d)
	p.mu.Unlock()
	p.Wake()
}

// Wait is in pulse.Transport.
func (p *Port) Wait(until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	if !p.ready() {
		select {
		case <-t.C:
		case <-p.woken:
		}
	}
	p.mu.Lock()
	frozen := time.Until(p.thaw)
	p.mu.Unlock()
	time.Sleep(frozen)
	return nil
}

func (p *Port) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0
}

// Read is in pulse.Transport.
func (p *Port) Read(b []byte) (pulse.Arrival, bool, error) {
	p.net.mu.Lock()
	step := p.net.step
	p.net.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return pulse.Arrival{}, false, nil
	}
	x := p.queue[0]
	p.queue = p.queue[1:]
	copy(b, x.data)
	// The bubble's wall clock cannot be stepped, so what the reader would see is put into the stamp: its age by a stepped clock.
	return pulse.Arrival{N: len(x.data), From: x.from, Stamp: x.stamp - int64(step), Path: x.path}, true, nil
}

// Write is in pulse.Transport.
func (p *Port) Write(b []byte, path int, to netip.AddrPort) error {
	n, from := p.net, p.addr
	if path > 0 {
		from = p.paths[path-1]
	}
	n.mu.Lock()
	if n.tape {
		n.log = append(n.log, Datagram{from, to, append([]byte(nil), b...)})
	}
	cut := n.cut
	n.mu.Unlock()
	if cut == nil || !cut(from, to) {
		n.Inject(b, from, to)
	}
	return nil
}

// Wake is in pulse.Transport.
func (p *Port) Wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// Close is in pulse.Transport.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *Port) put(x packet) {
	p.mu.Lock()
	if !p.closed && len(p.queue) < 4096 {
		p.queue = append(p.queue, x)
	}
	p.mu.Unlock()
	p.Wake()
}
