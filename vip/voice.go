package vip

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
)

// The part of the loop that speaks and listens on the link.

const (
	defendEvery  = time.Second // between announcements against someone else who claims the address
	quietAgain   = time.Minute // after which the same sighting is news again
	maxSightings = 16
)

func mapKeys[M ~map[K]V, K comparable, V any](m M) iter.Seq[K] { return maps.Keys(m) }

// again begins the announcements anew, if this node holds and speaks. Without a reason they are not worth a line in the log.
func (l *loop) again(reason string, now time.Time) {
	if mode, _, _, _ := l.k.lease.view(); mode == fence.Open {
		l.schedule.Restart(now)
		l.reason = reason
	}
}

// speak sends the announcements that are due.
func (l *loop) speak(now time.Time) {
	due := l.schedule.Due()
	if due.IsZero() || now.Before(due) || !l.any(func(s *segment) bool { return s.port != nil }) {
		return
	}
	if mode, _, _, _ := l.k.lease.view(); mode != fence.Open {
		l.schedule.Stop() // lost a moment ago
		return
	}
	var failed error
	for _, s := range l.segs {
		for _, frame := range l.announcements(s) {
			if err := s.port.Send(frame); err != nil {
				failed = err
			}
		}
	}
	l.schedule.Sent(now)
	if l.fail("announce", failed) {
		l.k.log.Warn("announcing failed", "err", failed)
	}
	if failed != nil {
		return
	}
	l.announcedAt = now
	l.announced++
	if l.reason != "" {
		l.k.log.Info("announced", "term", l.wish.Term, "reason", l.reason)
		l.reason = ""
	} else {
		l.k.log.Debug("announced again", "term", l.wish.Term)
	}
}

// announcements are the frames that tell a segment of its addresses, from the MAC that the link has now.
func (l *loop) announcements(s *segment) [][]byte {
	mac, ok := announce.MACOf(s.fact.MAC)
	if !ok || s.port == nil {
		return nil
	}
	l.k.in.mu.Lock()
	router, told := l.k.in.links[s.n].others.mac(s.Gateway)
	l.k.in.mu.Unlock()
	var frames [][]byte
	for _, v := range s.vips {
		direct := told && v.Is4() == s.Gateway.Is4()
		if v.Is4() {
			frames = append(frames, announce.Gratuitous(mac, mac, v), announce.GratuitousReply(mac, mac, v))
			if direct {
				frames = append(frames, announce.Tell(mac, v, router, s.Gateway))
			}
			continue
		}
		frames = append(frames, announce.Unsolicited(mac, mac, v, announce.MAC{}, netip.Addr{}))
		if direct {
			frames = append(frames, announce.Unsolicited(mac, mac, v, router, s.Gateway))
		}
	}
	return frames
}

// hear looks at frames of others that claim a virtual address: answers to the wire check, and, while this node holds, sightings.
func (l *loop) hear(claims []seen, now time.Time) {
	k := l.k
	mode, _, _, _ := k.lease.view()
	for _, c := range claims {
		s := l.segs[c.link]
		k.in.mu.Lock()
		peer := k.in.isPeer(c.MAC)
		router, known := k.in.links[s.n].others.mac(s.Gateway)
		k.in.mu.Unlock()
		if known && router == c.MAC && !peer {
			l.tellProxy(c)
			continue // a router that answers for everybody (proxy ARP) says nothing about this address
		}
		if c.Reply {
			l.survey.answered(c.Addr, c.MAC, c.at)
		}
		// IPv6 has nothing by which an answer could tell which question it answers.
		direct := c.Reply && (c.Addr.Is6() || slices.Contains(k.own(s.fact), c.To))
		l.check.heard(c.MAC, peer, direct, c.at)
		if l.check.doubt && peer && !direct && s.port != nil && l.probed != l.check.round {
			l.probed = l.check.round
			l.probe(s, c.MAC, c.Addr)
		}
		if mode == fence.Open {
			l.sighted(c, now)
		}
	}
	if l.defend && !now.Before(l.defended.Add(defendEvery)) {
		reason := ""
		if l.defendNews {
			reason = "somebody else claims the address"
		}
		l.defend, l.defendNews, l.defended = false, false, now
		l.again(reason, now)
	}
}

func (l *loop) tellProxy(c seen) {
	if !l.proxied {
		l.segs[c.link].log.Info("the gateway answers for the vip (proxy ARP), which holds no claim back", "vip", c.Addr, "mac", c.MAC)
	}
	l.proxied = true
}

func (l *loop) sighted(c seen, now time.Time) {
	i := slices.IndexFunc(l.sightings, func(s Sighting) bool { return s.Addr == c.Addr && string(s.MAC) == string(c.MAC[:]) })
	news := i < 0 || now.Sub(l.sightings[i].At) > quietAgain
	if i >= 0 && now.Sub(l.sightings[i].At) < defendEvery {
		return
	}
	if i >= 0 {
		l.sightings = slices.Delete(l.sightings, i, i+1)
	}
	if len(l.sightings) >= maxSightings {
		l.sightings = slices.Delete(l.sightings, 0, 1)
	}
	l.sightings = append(slices.Clip(l.sightings), Sighting{Addr: c.Addr, MAC: c.MAC.HardwareAddr(), At: c.at})
	l.defend = true
	if news {
		l.defendNews = true
		l.k.in.mu.Lock()
		peer := l.k.in.peers[c.MAC]
		l.k.in.mu.Unlock()
		if now.Sub(l.tellingAt) > quietAgain {
			l.tellingAt, l.telling = now, 0
		}
		switch l.telling++; {
		case l.telling <= maxSightings:
			l.k.log.Warn("somebody else claims the vip", "vip", c.Addr, "mac", c.MAC, "peer", peer, "term", l.term)
		case l.telling == maxSightings+1: // invented ones must not fill the disk
			l.k.log.Warn("many others claim the vip, further ones are not told for a while", "vip", c.Addr, "told", maxSightings, "quiet", quietAgain)
		}
	}
}

// ask sends the questions that are due: of the wire check, and to third parties.
func (l *loop) ask(now time.Time) {
	switch {
	case l.wish.Check && !l.check.running():
		l.check.start(now)
	case !l.wish.Check && l.check.running():
		l.check.stop()
	}
	if !l.busy && !l.restAt.IsZero() && !now.Before(l.restAt) {
		l.restAt = time.Time{}
		l.rest()
	}
	if !l.any((*segment).speaks) {
		return
	}
	round := l.check.tick(now)
	if round {
		l.askForVIPs()
	}
	if idle := !now.Before(l.askAt); round || idle {
		l.askOthers()
		if idle {
			l.askAt = now.Add(askEvery)
			l.askAround()
		}
	}
}

func (l *loop) rest() {
	j := job{do: rest}
	for _, s := range l.segs {
		if s.port != nil {
			j.ports = append(j.ports, s.port)
		}
	}
	l.busy = true
	l.jobs <- j
}

// askForVIPs asks every segment who has its addresses, and returns those that it could ask for.
func (l *loop) askForVIPs() (asked []netip.Addr) {
	for _, s := range l.segs {
		if !s.speaks() {
			continue
		}
		for _, v := range s.vips {
			if l.probe(s, announce.MAC{}, v) {
				asked = append(asked, v)
			}
		}
	}
	return asked
}

// probe asks who has a virtual address: everybody, or one MAC.
func (l *loop) probe(s *segment, to announce.MAC, v netip.Addr) bool {
	mac, ok := announce.MACOf(s.fact.MAC)
	own, has := s.fact.Own(v, l.k.vips)
	if !ok {
		return false
	}
	var frame []byte
	switch {
	case v.Is6() && has:
		frame = announce.Solicit(mac, own, v, to)
	case v.Is6():
		return false // from :: the holder would announce itself to everybody
	case to == announce.MAC{}:
		frame = announce.Ask(announce.Broadcast(), mac, netip.IPv4Unspecified(), v)
	case has:
		frame = announce.Ask(to, mac, own, v)
	default:
		return false
	}
	err := s.port.Send(frame)
	l.fail("probe on "+s.Interface, err)
	return err == nil
}

// askOthers asks third parties for their MAC.
func (l *loop) askOthers() {
	for _, s := range l.segs {
		if s.speaks() {
			l.askOthersOn(s)
		}
	}
}

func (l *loop) askOthersOn(s *segment) {
	mac, ok := announce.MACOf(s.fact.MAC)
	if !ok {
		return
	}
	l.k.in.mu.Lock()
	others := &l.k.in.links[s.n].others
	if len(others.targets) == 0 {
		others.aim(l.configured(s), nil)
	}
	targets := slices.Clone(others.targets)
	l.k.in.mu.Unlock()
	for _, t := range targets {
		own, has := s.fact.Own(t, l.k.vips)
		switch {
		case !has:
		case t.Is4():
			_ = s.port.Send(announce.Ask(announce.Broadcast(), mac, own, t)) // a probe's error tells of the same
		default:
			_ = s.port.Send(announce.Solicit(mac, own, t, announce.MAC{}))
		}
	}
}

// configured lists the third parties from the configuration that are on the link.
func (l *loop) configured(s *segment) []netip.Addr {
	var on []netip.Addr
	for _, a := range append([]netip.Addr{s.Gateway}, l.k.cfg.Neighbours...) {
		if a.IsValid() && (a.IsLinkLocalUnicast() || s.onLink(a)) && !slices.Contains(l.k.vips, a) {
			on = append(on, a)
		}
	}
	return on
}

func (s *segment) onLink(a netip.Addr) bool {
	for _, x := range s.fact.Addrs {
		if x.Prefix.Contains(a) && x.Prefix.Addr() != a {
			return true
		}
	}
	return false
}

// askAround has the kernel's neighbour table read, for further third parties.
func (l *loop) askAround() {
	if l.busy {
		return
	}
	j := job{do: look}
	for _, s := range l.segs {
		j.index = append(j.index, s.fact.Index)
	}
	l.busy = true
	l.jobs <- j
}

// offered takes the kernel's neighbour table.
func (l *loop) offered(d done, now time.Time) {
	for n, s := range l.segs {
		if d.index[n] == s.fact.Index && s.port != nil {
			l.offeredOn(s, d.neighbours[n], now)
		}
	}
}

func (l *loop) offeredOn(s *segment, neighbours []netip.Addr, now time.Time) {
	k := l.k
	offered := slices.DeleteFunc(neighbours, func(a netip.Addr) bool {
		return slices.Contains(k.vips, a) || !a.Is4() && !a.Is6() || a.IsMulticast()
	})
	slices.SortFunc(offered, netip.Addr.Compare)
	k.in.mu.Lock()
	others := &k.in.links[s.n].others
	others.forget(k.in.isPeer, now)
	before := len(others.targets)
	others.aim(l.configured(s), offered)
	more := len(others.targets) > before
	k.in.mu.Unlock()
	if more && s.speaks() {
		l.askOthersOn(s)
	}
}
