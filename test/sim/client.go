package sim

import (
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/arp"

	"github.com/tandem-lb/tandem/vip/announce"
)

// client is a host that uses the VIP.
type client struct {
	seg     *Segment
	station *station
	vip     netip.Addr
	every   time.Duration // between its packets
	silent  bool          // nothing that it gets back confirms its entry, as with datagrams one way
	forgets bool          // it looks the address up anew for each packet

	mu    sync.Mutex // guards what follows
	entry entry
	timer *time.Timer
	next  time.Time // packet
	done  bool
}

// plugIn puts the client on the segment.
func (c *client) plugIn(seg *Segment, name string, mac announce.MAC, addr, virtual netip.Addr) {
	c.seg, c.vip = seg, virtual
	c.station = &station{name: name, mac: mac, addr: addr, take: c.take}
	seg.plug(c.station)
}

// run lets the client send packets until stop.
func (c *client) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = time.Now()
	c.timer = time.AfterFunc(0, c.tick)
}

func (c *client) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.timer.Stop()
}

// take is the client's kernel.
func (c *client) take(frame []byte) {
	p, ok := arpFrame(frame)
	if !ok {
		return
	}
	if p.Operation == arp.OperationRequest && p.TargetIP == c.station.addr && p.SenderIP != p.TargetIP {
		c.seg.send(c.station, announce.Tell(c.station.mac, p.TargetIP, announce.MAC(p.SenderHardwareAddr), p.SenderIP))
	}
	if p.SenderIP != c.vip {
		return
	}
	reply := p.Operation == arp.OperationReply
	in := arpIn{
		mac: announce.MAC(p.SenderHardwareAddr), reply: reply, toMe: announce.MAC(frame[:6]) == c.station.mac,
		gratuitous: p.SenderIP == p.TargetIP && (!reply || announce.MAC(p.TargetHardwareAddr) == announce.MAC(p.SenderHardwareAddr)),
	}
	c.mu.Lock()
	was := c.entry
	c.entry.learn(in, time.Now())
	is := c.entry
	if !c.done && c.timer != nil {
		c.plan(time.Now())
	}
	c.mu.Unlock()
	if was.mac != is.mac || was.state.valid() != is.state.valid() {
		c.seg.trace("%s now sends to %s, %s (%s)", c.station.name, is.mac, is.state, describe(frame))
		c.seg.changed()
	}
}

// plan sets the timer. c.mu is held.
func (c *client) plan(now time.Time) {
	at := c.next
	if d := c.entry.due; !d.IsZero() && d.Before(at) {
		at = d
	}
	c.timer.Reset(max(at.Sub(now), 0))
}

// tick sends the packets and questions that are due.
func (c *client) tick() {
	now := time.Now()
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return
	}
	was := c.entry.state.valid()
	ask := c.entry.tick(now)
	if !now.Before(c.next) {
		c.next = now.Add(c.every)
		if c.forgets && c.entry.state != incomplete {
			c.entry = entry{reachable: c.entry.reachable}
		}
		ask = c.entry.use(now) || ask
	}
	to := announce.Broadcast()
	if c.entry.state == probe {
		to = c.entry.mac
	}
	lost := was && !c.entry.state.valid()
	c.plan(now)
	c.mu.Unlock()
	if ask {
		c.seg.send(c.station, announce.Ask(to, c.station.mac, c.station.addr, c.vip))
	}
	if lost {
		c.seg.changed()
	}
}

// fate is what becomes of a client's packet to the VIP.
type fate struct {
	is   verdict
	host *host // whose it becomes, if anybody's
}

type verdict uint8

const (
	served  verdict = iota
	refused         // the host has the VIP, and nobody listens: a reset
	hung            // the host has the VIP and a process that stands still
	dropped         // the host has not the VIP, or its gate is shut
	lost            // the way is cut, or leads nowhere
	asking          // the client waits for an answer to its question
	nobody          // nobody would answer
	several         // more than one would
)

func (v verdict) String() string {
	return [...]string{"served", "refused", "hung", "dropped", "lost", "asking", "nobody", "several"}[v]
}

func (f fate) String() string {
	if f.host == nil {
		return f.is.String()
	}
	return f.is.String() + " by " + f.host.station.name
}

// where says where the client's next packet goes.
func (c *client) where(hosts []*host, port netip.AddrPort) fate {
	c.mu.Lock()
	e := c.entry
	c.mu.Unlock()
	if e.state.valid() {
		return c.at(e.mac, port)
	}
	if e.state == incomplete {
		return fate{is: asking}
	}
	var who []*host
	for _, h := range hosts {
		if h.answers() && c.seg.reaches(c.station, h.station) && c.seg.reaches(h.station, c.station) {
			who = append(who, h)
		}
	}
	switch len(who) {
	case 0:
		return fate{is: nobody}
	case 1:
		return c.at(who[0].station.mac, port)
	}
	return fate{is: several}
}

// reaches says whether frames pass from a to b.
func (s *Segment) reaches(a, b *station) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passes(a, b, ether)
}

// at says what becomes of a packet to a MAC.
func (c *client) at(m announce.MAC, port netip.AddrPort) fate {
	s := c.seg
	s.mu.Lock()
	x := s.ports[m]
	if x == nil { // the switch floods
		for _, y := range s.stations {
			if y.mac == m {
				x = y
			}
		}
	}
	ok := x != nil && s.passes(c.station, x, stream) && s.passes(x, c.station, stream)
	s.mu.Unlock()
	if !ok || x.mac != m || x.host == nil {
		return fate{is: lost}
	}
	h := x.host
	if !h.serves() {
		return fate{dropped, h}
	}
	l := h.listener(port)
	if l == nil {
		return fate{refused, h}
	}
	if l.p.paused() {
		return fate{hung, h}
	}
	return fate{served, h}
}

// confirm tells the client's kernel that the VIP has answered, if it has.
func (c *client) confirm(f fate) {
	if f.is != served || c.silent {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entry.confirm(time.Now())
}
