package sim

import (
	"net/netip"
	"time"
)

// fault is something that happens to a segment on which all is well, and goes away again.
type fault struct {
	name   string
	happen func(w *world) limits
}

// limits are what a fault may cost, from its beginning until some seconds after its end.
type limits struct {
	gap   time.Duration // the longest time in which a client that knows the way is not served
	fresh time.Duration // the same for one that asks anew for the way again and again; zero: as gap
	dual  time.Duration // the longest time in which two nodes answer
	moves int           // of the VIP, at most
	must  bool          // it must move
}

// noisy are the limits where frames get lost, come twice, or late: among them may be the end of a stream, so that silence must tell of a crash, the first
// announcement, and a question or its answer, three times in a row.
func (l limits) noisy() limits {
	l.fresh = max(l.gap, l.fresh) + 3500*time.Millisecond
	if l.gap > instant {
		l.gap += 300 * time.Millisecond
	}
	l.gap += 60 * time.Millisecond
	l.dual += 10 * time.Millisecond
	return l
}

// voted are the limits in quorum mode: never two, and the votes for a leader that is gone must run out before there is another.
func (l limits) voted() limits {
	if l.gap > instant && l.must {
		l.gap = max(l.gap+500*time.Millisecond, 800*time.Millisecond) // the votes last 460 ms
	}
	l.fresh = max(l.gap, l.fresh) + 1100*time.Millisecond
	l.dual = 0
	return l
}

const (
	instant = 2 * time.Millisecond // what no client notices; a question for the way takes 200 µs
	rest    = 3 * time.Second      // after a fault, for all to be well again
	always  = time.Hour
)

// between is a random time.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.dice.Int64N(int64(high-low)+1))
}

func (w *world) leader() *node {
	for _, n := range w.all {
		if n.host == w.judge.holder() {
			return n
		}
	}
	w.t.Fatal("nobody leads")
	return nil
}

// standby is one of the others that may lead.
func (w *world) standby() *node {
	var all []*node
	for _, n := range w.all {
		if n.host != w.judge.holder() && !n.witness {
			all = append(all, n)
		}
	}
	return all[w.dice.IntN(len(all))]
}

// ways changes the paths between two nodes: there and back.
func (w *world) ways(a, b *node, what string, f func(there, back *path)) {
	w.trace("between %s and %s: %s", a.name, b.name, what)
	w.seg.set(func() { f(w.seg.path(a.station, b.station), w.seg.path(b.station, a.station)) })
}

func (w *world) heal() {
	w.trace("all paths are whole")
	w.seg.set(func() {
		for _, p := range w.seg.paths {
			p.cut, p.ipCut, p.loss = false, false, 0
		}
	})
}

// faults are all that there are for two nodes.
func faults() []fault {
	return []fault{
		{"the leader is killed and returns", func(w *world) limits {
			n := w.leader()
			n.kill()
			time.Sleep(w.between(100*time.Millisecond, 4*time.Second))
			n.start()
			return limits{gap: 60 * time.Millisecond, fresh: 300 * time.Millisecond, dual: 215 * time.Millisecond, moves: 1, must: true}
		}},
		{"a standby is killed and returns", func(w *world) limits {
			n := w.standby()
			n.kill()
			time.Sleep(w.between(time.Millisecond, 4*time.Second))
			n.start()
			return limits{gap: instant}
		}},
		{"the leader is unplugged", func(w *world) limits {
			n := w.leader()
			n.plug(false)
			time.Sleep(w.between(500*time.Millisecond, 4*time.Second))
			n.plug(true)
			return limits{gap: 300 * time.Millisecond, dual: 10 * time.Millisecond, moves: 1, must: true}
		}},
		{"a standby is unplugged", func(w *world) limits {
			n := w.standby()
			n.plug(false)
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			n.plug(true)
			return limits{gap: instant}
		}},
		{"the leader's frames vanish both ways", func(w *world) limits {
			n := w.leader()
			n.deafMute(true, true)
			time.Sleep(w.between(500*time.Millisecond, 4*time.Second))
			n.deafMute(false, false)
			return limits{gap: 300 * time.Millisecond, fresh: 1100 * time.Millisecond, dual: 50 * time.Millisecond, moves: 1, must: true}
		}},
		{"a standby's frames vanish both ways", func(w *world) limits {
			n := w.standby()
			n.deafMute(true, true)
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			n.deafMute(false, false)
			return limits{gap: instant}
		}},
		{"a standby goes deaf", func(w *world) limits {
			n := w.standby()
			n.deafMute(true, false)
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			n.deafMute(false, false)
			return limits{gap: instant}
		}},
		{"the leader goes mute", func(w *world) limits {
			n := w.leader()
			n.deafMute(false, true)
			time.Sleep(w.between(500*time.Millisecond, 4*time.Second))
			n.deafMute(false, false)
			return limits{gap: 300 * time.Millisecond, fresh: 1100 * time.Millisecond, dual: instant, moves: 1, must: true}
		}},
		{"no frame passes between the nodes", func(w *world) limits {
			a, b := w.leader(), w.standby()
			w.ways(a, b, "cut", func(there, back *path) { there.cut, back.cut = true, true })
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			w.heal()
			if w.mirrors == "auto" || w.quorum {
				return limits{gap: instant}
			}
			return limits{gap: 20 * time.Millisecond, fresh: time.Second, dual: always, moves: 1}
		}},
		{"no IP passes between the nodes", func(w *world) limits {
			a, b := w.leader(), w.standby()
			w.ways(a, b, "only ARP passes", func(there, back *path) { there.ipCut, back.ipCut = true, true })
			time.Sleep(w.between(20*time.Millisecond, 6*time.Second))
			w.heal()
			return limits{gap: instant}
		}},
		{"the standby does not hear the leader", func(w *world) limits {
			a, b := w.leader(), w.standby()
			w.ways(a, b, "cut one way, there", func(there, _ *path) { there.cut = true })
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			w.heal()
			if w.mirrors == "auto" || w.quorum {
				return limits{gap: instant}
			}
			return limits{gap: 150 * time.Millisecond, fresh: 1100 * time.Millisecond, dual: instant, moves: 1}
		}},
		{"the leader does not hear the standby", func(w *world) limits {
			a, b := w.leader(), w.standby()
			w.ways(a, b, "cut one way, back", func(_, back *path) { back.cut = true })
			time.Sleep(w.between(20*time.Millisecond, 4*time.Second))
			w.heal()
			return limits{gap: instant}
		}},
		{"a fifth of all is lost between the nodes", func(w *world) limits {
			a, b := w.leader(), w.standby()
			w.ways(a, b, "loss of 20 %", func(there, back *path) { there.loss, back.loss = 0.2, 0.2 })
			time.Sleep(w.between(2*time.Second, 8*time.Second))
			w.heal()
			return limits{gap: instant}
		}},
		{"the leader is told to stop", func(w *world) limits {
			n := w.leader()
			n.terminate()
			<-n.running().ended
			time.Sleep(w.between(0, 2*time.Second))
			n.start()
			return limits{gap: 10 * time.Millisecond, dual: instant, moves: 1, must: true}
		}},
		{"a standby is told to stop", func(w *world) limits {
			n := w.standby()
			n.terminate()
			<-n.running().ended
			time.Sleep(w.between(0, 2*time.Second))
			n.start()
			return limits{gap: instant}
		}},
		{"the leader is paused briefly", func(w *world) limits {
			d := w.between(10*time.Millisecond, 120*time.Millisecond)
			w.leader().pause(d)
			time.Sleep(d)
			return limits{gap: d + 2*instant}
		}},
		{"the leader is paused", func(w *world) limits {
			d := w.between(400*time.Millisecond, 4*time.Second)
			w.leader().pause(d)
			time.Sleep(d)
			return limits{gap: 350 * time.Millisecond, fresh: 1100 * time.Millisecond, dual: 10 * time.Millisecond, moves: 1, must: true}
		}},
		{"a standby is paused", func(w *world) limits {
			d := w.between(10*time.Millisecond, 4*time.Second)
			w.standby().pause(d)
			time.Sleep(d)
			return limits{gap: instant}
		}},
		{"the VIP is flushed", func(w *world) limits {
			n := w.leader()
			w.trace("the VIP of %s is removed", n.name)
			n.sys().Delete(n.cfg.VIP.Addresses[0])
			return limits{gap: 5 * time.Millisecond, fresh: 1100 * time.Millisecond}
		}},
		{"the rules are flushed", func(w *world) limits {
			n := w.leader()
			w.trace("the rules of %s are flushed", n.name)
			n.sys().Flush()
			w.seg.changed()
			if w.quorum { // put back shut, and opened by the next round of votes
				return limits{gap: 25 * time.Millisecond}
			}
			return limits{gap: instant}
		}},
		{"the leader is killed beside a slow kernel", func(w *world) limits {
			n, other, slow := w.leader(), w.standby(), w.between(5*time.Millisecond, 400*time.Millisecond)
			w.trace("the kernel of %s takes %v for each change of an address", other.name, slow)
			other.sys().SetSlow(slow)
			n.kill()
			time.Sleep(2 * time.Second)
			other.sys().SetSlow(0)
			n.start()
			return limits{gap: 60*time.Millisecond + 2*slow, fresh: 1500 * time.Millisecond, dual: 215 * time.Millisecond, moves: 1, must: true}
		}},
		{"the leader's link flaps", func(w *world) limits {
			n := w.leader()
			for range 2 + w.dice.IntN(5) {
				n.plug(false)
				time.Sleep(w.between(5*time.Millisecond, 300*time.Millisecond))
				n.plug(true)
				time.Sleep(w.between(5*time.Millisecond, 300*time.Millisecond))
			}
			return limits{gap: 600 * time.Millisecond, fresh: 1600 * time.Millisecond, dual: 10 * time.Millisecond, moves: 1}
		}},
		{"the leader's host loses its power", func(w *world) limits {
			n := w.leader()
			n.powerOff()
			time.Sleep(w.between(300*time.Millisecond, 4*time.Second))
			n.powerOn()
			return limits{gap: 300 * time.Millisecond, fresh: 1100 * time.Millisecond, dual: instant, moves: 1, must: true}
		}},
		{"all streams between the nodes are reset", func(w *world) limits {
			w.trace("a firewall resets every connection between the nodes")
			for _, n := range w.all {
				n.running().resetAll(w)
			}
			return limits{gap: instant}
		}},
		{"all are killed and return", func(w *world) limits {
			for _, n := range w.all {
				n.kill()
			}
			d := w.between(0, time.Second)
			time.Sleep(d)
			for _, n := range w.all {
				n.start()
			}
			return limits{gap: d + 1500*time.Millisecond, fresh: d + 2600*time.Millisecond, moves: 1}
		}},
		{"the segment falls apart", func(w *world) limits {
			b := w.standby()
			w.trace("%s and half of the clients are cut off from the others, but not from third parties", b.name)
			w.apart(func(x *station) bool { return x == b.station || x.host == nil && x.index%2 == 0 })
			time.Sleep(w.between(500*time.Millisecond, 4*time.Second))
			w.heal()
			if w.mirrors == "auto" || w.quorum { // the nodes hear each other, and know nothing of clients
				return limits{gap: always}
			}
			return limits{gap: 1300 * time.Millisecond, fresh: 1300 * time.Millisecond, dual: always, moves: 1}
		}},
	}
}

// apart cuts all paths between two groups of stations. Third parties (gateway, backends) are in both.
func (w *world) apart(group func(*station) bool) {
	w.seg.set(func() {
		for _, a := range w.seg.stations {
			for _, b := range w.seg.stations {
				if group(a) != group(b) && !w.third(a) && !w.third(b) {
					w.seg.path(a, b).cut = true
				}
			}
		}
	})
}

func (w *world) third(x *station) bool {
	return x.host != nil && x.host.vip == netip.Addr{}
}

// resetAll ends every stream that the process has with another node.
func (p *process) resetAll(w *world) {
	p.mu.Lock()
	var all []*conn
	for c := range p.conns {
		if !w.third(c.there) && c.there.host != nil {
			all = append(all, c)
		}
	}
	p.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
}
