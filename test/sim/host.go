package sim

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/arp"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// linkName is the interface of every host.
const linkName = "eth0"

// host is a machine: its kernel goes on when its daemon is killed or stopped.
type host struct {
	seg     *Segment
	station *station
	vip     netip.Addr
	off     atomic.Bool // no power
	shut    *time.Timer // fires when the gate may have shut by itself

	mu        sync.Mutex // guards what follows
	kernel    *viptest.Host
	process   *process                     // nil: none
	listeners map[netip.AddrPort]*listener // TCP
	frames    chan []byte                  // of the packet socket; nil: none
}

func newHost(seg *Segment, name string, mac announce.MAC, addr netip.Addr, virtual netip.Addr) *host {
	h := &host{seg: seg, vip: virtual, listeners: map[netip.AddrPort]*listener{}}
	h.station = &station{name: name, mac: mac, addr: addr, host: h, take: h.take}
	h.shut = time.AfterFunc(time.Hour, func() { seg.changed() })
	h.boot()
	seg.plug(h.station)
	return h
}

// boot makes the kernel that of a host that has just started.
func (h *host) boot() {
	k := viptest.New(linkName, h.station.mac.HardwareAddr(), netip.PrefixFrom(h.station.addr, 24))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kernel, h.frames = k, nil
	clear(h.listeners)
}

func (h *host) sys() *viptest.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kernel
}

// setCarrier plugs the cable in, or pulls it out.
func (h *host) setCarrier(up bool) {
	h.seg.set(func() { h.station.unplugged = !up })
	h.sys().SetCarrier(up)
	h.seg.changed()
}

// take is the kernel's receive path: ARP is answered here, whether a daemon lives or not; packet sockets get a copy.
func (h *host) take(frame []byte) {
	h.mu.Lock()
	frames := h.frames
	h.mu.Unlock()
	if frames != nil {
		select {
		case frames <- frame:
		default: // a full socket buffer
		}
	}
	p, ok := arpFrame(frame)
	if !ok || p.Operation != arp.OperationRequest || p.SenderIP == p.TargetIP {
		return
	}
	if p.TargetIP == h.station.addr || p.TargetIP == h.vip && h.sys().Answers(h.vip) {
		h.seg.send(h.station, announce.Tell(h.station.mac, p.TargetIP, announce.MAC(p.SenderHardwareAddr), p.SenderIP))
	}
}

// answers says whether the kernel would answer ARP for the VIP, were it asked; serves whether it would take an IP packet to it.
func (h *host) answers() bool { return !h.off.Load() && h.sys().Answers(h.vip) }
func (h *host) serves() bool  { return !h.off.Load() && h.sys().Serves(h.vip) }

// listener finds who accepts connections.
func (h *host) listener(a netip.AddrPort) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listeners[a]
}

// running is the living daemon, or nil.
func (h *host) running() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process
}

var errKilled = errors.New("this process has been killed")

// kernel is the vip.System of one process: gone when that is killed, and blocked while it is paused.
type kernel struct {
	*viptest.Host
	p *process
}

var _ vip.System = kernel{}

// Watch is in vip.System.
func (k kernel) Watch(ctx context.Context, name string, each func(link.Fact)) error {
	return k.Host.Watch(ctx, name, func(f link.Fact) {
		if !k.p.dead.Load() {
			each(f)
		}
	})
}

// Add is in vip.System.
func (k kernel) Add(index int, p netip.Prefix, life time.Duration) error {
	if k.p.await(); k.p.dead.Load() {
		return errKilled
	}
	return k.Host.Add(index, p, life)
}

// Remove is in vip.System.
func (k kernel) Remove(index int, p netip.Prefix) error {
	if k.p.await(); k.p.dead.Load() {
		return errKilled
	}
	return k.Host.Remove(index, p)
}

// Gate is in vip.System.
func (k kernel) Gate(node string, vips []netip.Addr, timeout time.Duration) (vip.Gate, error) {
	if k.p.dead.Load() {
		return nil, errKilled
	}
	g, err := k.Host.Gate(node, vips, timeout)
	if err != nil {
		return nil, err
	}
	return gate{g, k, timeout}, nil
}

// gate tells the judge of changes. Its calls are made under the keeper's lock, so that they must not block.
type gate struct {
	vip.Gate
	k       kernel
	timeout time.Duration
}

func (g gate) do(f func() error) error {
	if g.k.p.dead.Load() {
		return errKilled
	}
	was := g.k.Mode()
	err := f()
	h := g.k.p.host
	if g.k.Mode() != was {
		h.seg.changed()
	}
	h.shut.Reset(g.timeout)
	return err
}

// Install, Remove, Arm, Open, Turn, Shut and Check are in vip.Gate.
func (g gate) Install(m fence.Mode) error { return g.do(func() error { return g.Gate.Install(m) }) }

// Remove is in vip.Gate.
func (g gate) Remove() error { return g.do(g.Gate.Remove) }

// Arm is in vip.Gate.
func (g gate) Arm(t uint32) error { return g.do(func() error { return g.Gate.Arm(t) }) }

// Open is in vip.Gate.
func (g gate) Open(t uint32, m fence.Mode) error {
	return g.do(func() error { return g.Gate.Open(t, m) })
}

// Turn is in vip.Gate.
func (g gate) Turn(from, to fence.Mode) error {
	return g.do(func() error { return g.Gate.Turn(from, to) })
}

// Shut is in vip.Gate.
func (g gate) Shut() error { return g.do(g.Gate.Shut) }

// Check is in vip.Gate.
func (g gate) Check() error { return g.do(g.Gate.Check) }

// Listen is in vip.System.
func (k kernel) Listen(index int, _ bool) (vip.Port, error) {
	f, err := k.Look(linkName)
	if err != nil || f.Index != index || k.p.dead.Load() {
		return nil, errors.New("no such device")
	}
	port := &port{p: k.p, frames: make(chan []byte, 256)}
	k.p.host.mu.Lock()
	k.p.host.frames = port.frames
	k.p.host.mu.Unlock()
	return port, nil
}

// port is a packet socket.
type port struct {
	p      *process
	frames chan []byte
}

// Send is in vip.Port.
func (o *port) Send(frame []byte) error {
	if o.p.await(); o.p.dead.Load() {
		return errKilled
	}
	h := o.p.host
	if c, ok := arpFrame(frame); ok && c.SenderIP == h.vip {
		h.seg.trace("%s says: %s", h.station.name, describe(frame))
	}
	h.seg.send(h.station, frame)
	return nil
}

// Receive is in vip.Port.
func (o *port) Receive(ctx context.Context, each func(frame []byte)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-o.frames:
			if o.p.await(); !o.p.dead.Load() {
				each(f)
			}
		}
	}
}

// Knock is in vip.Port.
func (o *port) Knock(ctx context.Context, dst, _ announce.MAC, _ netip.Addr, to netip.AddrPort) (announce.Answer, error) {
	if o.p.await(); o.p.dead.Load() {
		return announce.NoAnswer, errKilled
	}
	return o.p.host.seg.knock(ctx, o.p.host.station, dst, to), nil
}

// Rest and Close are in vip.Port.
func (o *port) Rest() {}

// Close is in vip.Port.
func (o *port) Close() error { return nil }

// knock sends a SYN to a MAC and waits for the answer.
func (s *Segment) knock(ctx context.Context, from *station, dst announce.MAC, to netip.AddrPort) announce.Answer {
	s.mu.Lock()
	x := s.ports[dst]
	s.mu.Unlock()
	there, back := []time.Duration(nil), []time.Duration(nil)
	if x != nil && x.host != nil && x.mac == dst {
		if there = s.carry(from, x, stream); there != nil {
			back = s.carry(x, from, stream)
		}
	}
	if back == nil {
		<-ctx.Done()
		return announce.NoAnswer
	}
	if !sleep(ctx, there[0]) {
		return announce.NoAnswer
	}
	if !x.host.serves() {
		<-ctx.Done()
		return announce.NoAnswer
	}
	l := x.host.listener(to)
	if !sleep(ctx, back[0]) {
		return announce.NoAnswer
	}
	if l == nil {
		return announce.Refused
	}
	return announce.Accepted
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watchKernel tells the segment of changes of a kernel's addresses.
func watchKernel(ctx context.Context, k *viptest.Host, s *Segment) error {
	return k.Watch(ctx, linkName, func(link.Fact) { s.changed() })
}
