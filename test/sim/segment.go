package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/arp"

	"github.com/tandem-lb/tandem/vip/announce"
)

// hop is how long a frame is on its way.
const hop = 100 * time.Microsecond

// layer tells frames (ARP) from packets, which a firewall may drop, and these from one another.
type layer uint8

const (
	ether layer = iota
	datagrams
	stream
)

// station is what is plugged into the switch: a host, a client, a gateway.
type station struct {
	name  string
	index int
	mac   announce.MAC
	addr  netip.Addr
	take  func(frame []byte) // called without the segment's lock
	host  *host              // nil for clients and neighbours

	// Guarded by the segment's mu.
	unplugged bool
	deaf      bool // hears nothing
	mute      bool // is not heard
}

// path is the way from one station to another.
type path struct {
	cut   bool // nothing passes
	ipCut bool // nothing but ARP passes
	loss  float64
	sent  [3]uint64 // by layer, for the fates
	last  time.Time // the newest arrival, for the order
}

// Segment is an Ethernet: a switch with stations. Its methods may be called by any goroutine.
type Segment struct {
	seed    uint64
	changed func() // told after every change of what reaches whom
	trace   func(format string, args ...any)

	mu       sync.Mutex // guards what follows; taken last, never held over a call of others
	stations []*station
	paths    map[[2]int]*path
	ports    map[announce.MAC]*station // what the switch has learned
	udp      map[netip.AddrPort]func(data []byte, from netip.AddrPort)
	noise    noise
}

// noise is what always happens a little.
type noise struct {
	loss, twice, late float64       // of datagrams and frames
	jitter            time.Duration // of those that are late
}

func newSegment(seed uint64) *Segment {
	return &Segment{
		seed: seed, changed: func() {}, trace: func(string, ...any) {},
		paths: map[[2]int]*path{}, ports: map[announce.MAC]*station{}, udp: map[netip.AddrPort]func([]byte, netip.AddrPort){},
	}
}

func (s *Segment) plug(x *station) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.index = len(s.stations)
	s.stations = append(s.stations, x)
}

// path is the way from a to b. s.mu is held.
func (s *Segment) path(a, b *station) *path {
	key := [2]int{a.index, b.index}
	p := s.paths[key]
	if p == nil {
		p = &path{}
		s.paths[key] = p
	}
	return p
}

// set changes what lies between stations.
func (s *Segment) set(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	s.changed()
}

// passes says whether, loss apart, something gets from a to b. s.mu is held.
func (s *Segment) passes(a, b *station, l layer) bool {
	p := s.path(a, b)
	return !p.cut && (l == ether || !p.ipCut) && !a.unplugged && !b.unplugged && !a.mute && !b.deaf && !a.down() && !b.down()
}

func (x *station) down() bool { return x.host != nil && x.host.off.Load() }

// open says whether packets pass both ways.
func (s *Segment) open(a, b *station) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passes(a, b, stream) && s.passes(b, a, stream)
}

// carry decides what becomes of the next frame or packet from a to b: when it arrives, not at all, or twice. A fate depends on the seed and on how many
// went this way before, so that what happens elsewhere does not change it.
func (s *Segment) carry(a, b *station, l layer) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.passes(a, b, l) {
		return nil
	}
	p := s.path(a, b)
	p.sent[l]++
	r := rand.New(rand.NewPCG(s.seed^uint64(l)<<56, uint64(a.index)<<48^uint64(b.index)<<40^p.sent[l])) //nolint:gosec // a die
	if r.Float64() < max(p.loss, s.noise.loss) {
		return nil
	}
	d := hop
	if r.Float64() < s.noise.late {
		d += time.Duration(r.Int64N(int64(s.noise.jitter) + 1))
	} else { // in order
		if at := time.Now().Add(d); !at.After(p.last) {
			d = time.Until(p.last.Add(time.Nanosecond))
		}
		p.last = time.Now().Add(d)
	}
	if r.Float64() < s.noise.twice {
		return []time.Duration{d, d + time.Duration(r.Int64N(int64(s.noise.jitter)+1))}
	}
	return []time.Duration{d}
}

// send puts a frame of a station on the wire.
func (s *Segment) send(from *station, frame []byte) {
	if len(frame) < 14 {
		return
	}
	dst, src := announce.MAC(frame[:6]), announce.MAC(frame[6:12])
	s.mu.Lock()
	moved := false
	if !from.unplugged && !from.mute && !from.down() {
		moved = s.ports[src] != from
		s.ports[src] = from
	}
	to := s.behind(dst, from)
	l := datagrams
	if binary.BigEndian.Uint16(frame[12:]) == 0x0806 {
		l = ether
	}
	s.mu.Unlock()
	if moved {
		s.changed()
	}
	for _, x := range to {
		for _, d := range s.carry(from, x, l) {
			time.AfterFunc(d, func() { s.deliver(x, frame) })
		}
	}
}

// behind is where the switch sends a frame for dst. s.mu is held.
func (s *Segment) behind(dst announce.MAC, from *station) []*station {
	if x := s.ports[dst]; x != nil && dst[0]&1 == 0 {
		if x == from {
			return nil
		}
		return []*station{x}
	}
	var all []*station
	for _, x := range s.stations {
		if x != from {
			all = append(all, x)
		}
	}
	return all
}

func (s *Segment) deliver(to *station, frame []byte) {
	dst := announce.MAC(frame[:6])
	s.mu.Lock()
	ok := !to.unplugged && !to.deaf && !to.down() && (dst == to.mac || dst[0]&1 == 1)
	s.mu.Unlock()
	if ok {
		to.take(frame)
	}
}

// at finds the station with an address of its own.
func (s *Segment) at(a netip.Addr) *station {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.stations {
		if x.addr == a {
			return x
		}
	}
	return nil
}

// bind makes f receive the datagrams to an address; nil: nobody does.
func (s *Segment) bind(a netip.AddrPort, f func(data []byte, from netip.AddrPort)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.udp[a] = f
}

// datagram sends one datagram between the stations' own addresses.
func (s *Segment) datagram(from, to netip.AddrPort, data []byte) {
	a, b := s.at(from.Addr()), s.at(to.Addr())
	if a == nil || b == nil {
		return
	}
	data = append([]byte(nil), data...)
	for _, d := range s.carry(a, b, datagrams) {
		time.AfterFunc(d, func() {
			s.mu.Lock()
			f := s.udp[to]
			ok := !b.unplugged && !b.deaf && !b.down()
			s.mu.Unlock()
			if ok && f != nil {
				f(data, from)
			}
		})
	}
}

// arpFrame reads a frame.
func arpFrame(frame []byte) (p arp.Packet, ok bool) {
	if len(frame) < 14 || binary.BigEndian.Uint16(frame[12:]) != 0x0806 {
		return p, false
	}
	return p, p.UnmarshalBinary(frame[14:]) == nil
}

// describe tells what a frame says, for the trace.
func describe(frame []byte) string {
	p, ok := arpFrame(frame)
	if !ok {
		return fmt.Sprintf("a frame of %d bytes", len(frame))
	}
	if p.Operation == arp.OperationRequest {
		if p.SenderIP == p.TargetIP {
			return fmt.Sprintf("%s is at %s (gratuitous request)", p.SenderIP, p.SenderHardwareAddr)
		}
		return fmt.Sprintf("who has %s, tell %s", p.TargetIP, p.SenderIP)
	}
	return fmt.Sprintf("%s is at %s (reply to %s)", p.SenderIP, p.SenderHardwareAddr, p.TargetIP)
}
