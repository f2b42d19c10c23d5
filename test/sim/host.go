package sim

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/arp"

	"github.com/tandem-lb/tandem/cluster/pulse/mirror"
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
	taps      map[*tap]bool                // packet sockets
}

func newHost(seg *Segment, name string, mac announce.MAC, addr netip.Addr, virtual netip.Addr) *host {
	h := &host{seg: seg, vip: virtual, listeners: map[netip.AddrPort]*listener{}, taps: map[*tap]bool{}}
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
	h.kernel = k
	clear(h.listeners)
	clear(h.taps)
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

// take is the kernel's receive path: ARP and pings are answered here, whether a daemon lives or not; packet sockets get a copy.
func (h *host) take(frame []byte) {
	h.mu.Lock()
	for t := range h.taps {
		t.put(frame)
	}
	h.mu.Unlock()
	if answer, to := pinged(frame, h.station); answer != nil {
		if x := h.seg.at(to); x != nil {
			copy(answer, x.mac[:])
			h.seg.send(h.station, answer)
		}
		return
	}
	p, ok := arpFrame(frame)
	if !ok || p.Operation != arp.OperationRequest || p.SenderIP == p.TargetIP {
		return
	}
	if p.TargetIP == h.station.addr || p.TargetIP == h.vip && h.sys().Answers(h.vip) {
		h.seg.send(h.station, announce.Tell(h.station.mac, p.TargetIP, announce.MAC(p.SenderHardwareAddr), p.SenderIP))
	}
}

// pinged makes the answer to an ICMP echo request for a station, and says whom it goes to: nobody checks that it came from there, and so
// hosts are mirrors. The checksum of ICMP is left as it is.
func pinged(frame []byte, x *station) (answer []byte, to netip.Addr) {
	const ip, icmp = 14, 34
	if len(frame) < icmp+8 || frame[12] != 8 || frame[13] != 0 || frame[ip] != 0x45 || frame[ip+9] != 1 || frame[icmp] != 8 ||
		netip.AddrFrom4([4]byte(frame[ip+16:])) != x.addr {
		return nil, to
	}
	answer = append([]byte(nil), frame...)
	copy(answer[6:], x.mac[:])
	copy(answer[ip+12:ip+16], frame[ip+16:ip+20])
	copy(answer[ip+16:ip+20], frame[ip+12:ip+16])
	answer[icmp] = 0
	return answer, netip.AddrFrom4([4]byte(frame[ip+12:]))
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
	if g.k.p.dead.Load() || g.k.p.paused() { // what stands still reaches no kernel
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

// Renew is in vip.Gate.
func (g gate) Renew(t uint32, from, to fence.Mode) error {
	return g.do(func() error { return g.Gate.Renew(t, from, to) })
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
	return &port{k.p.tap()}, nil
}

// tap is a packet socket of a process.
type tap struct {
	p      *process
	frames chan []byte
	closed chan struct{}
}

func (p *process) tap() *tap {
	t := &tap{p: p, frames: make(chan []byte, 256), closed: make(chan struct{})}
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	if !p.dead.Load() {
		p.host.taps[t] = true
	}
	return t
}

func (t *tap) put(frame []byte) {
	select {
	case t.frames <- frame:
	default: // a full socket buffer
	}
}

// close may be called once.
func (t *tap) close() {
	close(t.closed)
	t.p.host.mu.Lock()
	defer t.p.host.mu.Unlock()
	delete(t.p.host.taps, t)
}

// send puts a frame on the link.
func (t *tap) send(frame []byte) error {
	if t.p.await(); t.p.dead.Load() {
		return errKilled
	}
	h := t.p.host
	if c, ok := arpFrame(frame); ok && c.SenderIP == h.vip {
		h.seg.trace("%s says: %s", h.station.name, describe(frame))
	}
	h.seg.send(h.station, append([]byte(nil), frame...))
	return nil
}

// receive gives each the frames that come in, until done or closed is closed.
func (t *tap) receive(done <-chan struct{}, each func(frame []byte)) {
	for {
		select {
		case <-done:
			return
		case <-t.closed:
			return
		case f := <-t.frames:
			if t.p.await(); !t.p.dead.Load() {
				each(f)
			}
		}
	}
}

// port is the keeper's packet socket.
type port struct{ *tap }

// Send is in vip.Port.
func (o *port) Send(frame []byte) error { return o.send(frame) }

// Receive is in vip.Port.
func (o *port) Receive(ctx context.Context, each func(frame []byte)) error {
	o.receive(ctx.Done(), each)
	return nil
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
func (o *port) Close() error {
	o.close()
	return nil
}

// mirrorPort is the packet socket of the mirrors.
type mirrorPort struct {
	*tap
	ended chan struct{}
}

var _ mirror.Port = (*mirrorPort)(nil)

// mirror opens one.
func (p *process) mirror(_ int, _ bool, each func(frame []byte)) (mirror.Port, error) {
	m := &mirrorPort{p.tap(), make(chan struct{})}
	go func() {
		defer close(m.ended)
		m.receive(nil, each)
	}()
	return m, nil
}

// Send is in mirror.Port.
func (m *mirrorPort) Send(frame []byte) error { return m.send(frame) }

// Ended is in mirror.Port.
func (m *mirrorPort) Ended() <-chan struct{} { return m.ended }

// Close is in mirror.Port.
func (m *mirrorPort) Close() error {
	m.close()
	<-m.ended
	return nil
}

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
