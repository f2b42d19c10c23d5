package vip

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

// Times of the survey.
const (
	surveyEvery = 10 * time.Second
	surveyAfter = 300 * time.Millisecond // after a move: announcements were lost, or have arrived by then
	surveyAgain = time.Second            // after an odd answer
	surveyTime  = 100 * time.Millisecond // for answers
)

// Rounds in a row after which an odd answer is believed. Frames are lost more easily than invented.
const (
	strayRounds  = 2
	silentRounds = 4
)

// Stray is what a standby has found: somebody who is not the leader answers for a VIP, or nobody does.
type Stray struct {
	Addr   netip.Addr
	MAC    net.HardwareAddr // nil: nobody answers
	Leader string
	Since  time.Time
}

// survey is how a standby finds out whether the leader, and nobody else, answers for the addresses. It is pure: it is told what happened, and says what is due.
type survey struct {
	leader string
	next   time.Time // when to ask
	round  time.Time // when the open round was asked; zero: none is open
	asked  []netip.Addr
	heard  []Stray // in the open round, each address and MAC once
	odd    []oddity
}

// oddity is an odd answer that has come in some rounds in a row.
type oddity struct {
	Stray
	rounds int
}

func (o oddity) believed() bool {
	if o.MAC == nil {
		return o.rounds >= silentRounds
	}
	return o.rounds >= strayRounds
}

// follow sets the leader, or that there is none to ask about.
func (s *survey) follow(leader string, now time.Time) {
	if leader != s.leader {
		*s = survey{leader: leader, next: now.Add(surveyAfter)}
	}
}

// due returns when something is to be done; zero: never.
func (s *survey) due() time.Time {
	switch {
	case s.leader == "":
		return time.Time{}
	case !s.round.IsZero():
		return s.round.Add(surveyTime)
	}
	return s.next
}

// begin opens a round in which these addresses were asked for.
func (s *survey) begin(asked []netip.Addr, now time.Time) {
	s.round, s.asked, s.heard = now, asked, nil
	s.next = now.Add(surveyEvery)
}

// drop forgets the open round.
func (s *survey) drop() { s.round = time.Time{} }

// answered takes an answer.
func (s *survey) answered(a netip.Addr, m announce.MAC, now time.Time) {
	if s.round.IsZero() || len(s.heard) >= maxSeen || !slices.Contains(s.asked, a) {
		return
	}
	if !slices.ContainsFunc(s.heard, func(x Stray) bool { return x.Addr == a && slices.Equal(x.MAC, m.HardwareAddr()) }) {
		s.heard = append(s.heard, Stray{Addr: a, MAC: m.HardwareAddr(), Leader: s.leader, Since: now})
	}
}

// end closes the round. isLeader says whether a MAC is the leader's. It returns what is news: what is believed from now on, and the addresses about which all is well again.
func (s *survey) end(isLeader func(net.HardwareAddr) bool, now time.Time) (news []Stray, well []netip.Addr) {
	var odd []oddity
	for _, a := range s.asked {
		for _, x := range s.strange(a, isLeader) {
			o := oddity{x, 1}
			if i := slices.IndexFunc(s.odd, func(o oddity) bool { return o.Addr == a && slices.Equal(o.MAC, x.MAC) }); i >= 0 {
				o = oddity{s.odd[i].Stray, s.odd[i].rounds + 1}
				if o.believed() && !s.odd[i].believed() {
					news = append(news, o.Stray)
				}
			}
			odd = append(odd, o)
			if !o.believed() {
				s.next = now.Add(surveyAgain)
			}
		}
	}
	for _, was := range s.odd {
		gone := !slices.ContainsFunc(odd, func(o oddity) bool { return o.Addr == was.Addr })
		if was.believed() && gone && slices.Contains(s.asked, was.Addr) && !slices.Contains(well, was.Addr) {
			well = append(well, was.Addr)
		}
	}
	s.odd = odd
	s.drop()
	return news, well
}

// strange lists who answered for an address and should not have.
func (s *survey) strange(a netip.Addr, isLeader func(net.HardwareAddr) bool) (all []Stray) {
	answered := false
	for _, x := range s.heard {
		if x.Addr != a {
			continue
		}
		answered = true
		if !isLeader(x.MAC) {
			all = append(all, x)
		}
	}
	if !answered {
		all = append(all, Stray{Addr: a, Leader: s.leader, Since: s.round})
	}
	return all
}

// strays lists what is believed.
func (s *survey) strays() (all []Stray) {
	for _, o := range s.odd {
		if o.believed() {
			all = append(all, o.Stray)
		}
	}
	slices.SortFunc(all, func(a, b Stray) int { return cmp.Or(a.Addr.Compare(b.Addr), slices.Compare(a.MAC, b.MAC)) })
	return all
}

// surveyed carries the survey on: it asks when it is time to, and tells what was found.
func (l *loop) surveyed(now time.Time) {
	leader := l.wish.Leader
	if l.wish.Hold || !l.any((*segment).speaks) {
		leader = ""
	}
	s := &l.survey
	s.follow(leader, now)
	if l.wish.Check { // which asks the same, and more often
		s.drop()
		s.next = later(s.next, now.Add(surveyAfter))
	}
	due := s.due()
	if due.IsZero() || now.Before(due) {
		return
	}
	if s.round.IsZero() {
		s.begin(l.askForVIPs(), now)
		return
	}
	macs, known := l.peerMACs(leader)
	if !known { // its MACs have not been heard yet
		s.drop()
		return
	}
	news, well := s.end(func(m net.HardwareAddr) bool {
		mac, _ := announce.MACOf(m)
		return slices.Contains(macs, mac)
	}, now)
	for _, x := range news {
		l.tellStray(x, now)
	}
	for _, a := range well {
		l.of(a).log.Info("the leader alone answers for the vip again", "vip", a, "peer", leader)
	}
}

func (l *loop) tellStray(x Stray, now time.Time) {
	log := l.of(x.Addr).log
	if x.MAC == nil {
		log.Warn("nobody answers for the vip", "vip", x.Addr, "leader", x.Leader, "for", now.Sub(x.Since).Round(time.Millisecond))
		return
	}
	mac, _ := announce.MACOf(x.MAC)
	l.k.in.mu.Lock()
	peer := l.k.in.peers[mac]
	l.k.in.mu.Unlock()
	log.Warn("somebody who is not the leader answers for the vip", "vip", x.Addr, "mac", x.MAC.String(), "peer", peer, "leader", x.Leader,
		"for", now.Sub(x.Since).Round(time.Millisecond))
}

// peerMACs are the MACs that a peer has published.
func (l *loop) peerMACs(node string) (macs []announce.MAC, known bool) {
	l.k.in.mu.Lock()
	defer l.k.in.mu.Unlock()
	for m, n := range l.k.in.peers {
		if n == node {
			macs = append(macs, m)
		}
	}
	return macs, len(macs) > 0
}
