package quorum_test

import (
	"slices"
	"time"
)

// experiments are what schedules are made of.
var experiments = []experiment{
	{"storm", storm}, {"storm", storm}, {"edge", edge}, {"edge", edge}, {"majority", majority}, {"forgetful voters", forgetful},
	{"halves", halves}, {"plug", plug}, {"handover", handover}, {"growth", growth}, {"another set", anotherSet},
}

// storm lets faults come one upon the other.
func storm(s *schedule) {
	s.loss, s.twice = 0.3*s.rng.Float64()*float64(s.rng.IntN(2)), 0.1*float64(s.rng.IntN(2))
	s.late, s.lateBy = 0.1*float64(s.rng.IntN(2)), []time.Duration{20, 400, 2000}[s.rng.IntN(3)]*time.Millisecond
	s.stall = 0.02 * float64(s.rng.IntN(3))
	for _, n := range s.nodes {
		s.after(s.within(300*time.Millisecond), n.start)
	}
	s.run(700 * time.Millisecond)
	for range 4 + s.rng.IntN(8) {
		s.fault()
		s.run(s.within([]time.Duration{20, 150, 500}[s.rng.IntN(3)] * time.Millisecond))
	}
	s.calm(s.nodes, "a storm")
}

// fault makes a fault, or undoes one.
func (s *schedule) fault() {
	a := s.nodes[s.rng.IntN(len(s.nodes))]
	if h := s.holders(); len(h) > 0 && s.rng.IntN(2) == 0 {
		a = h[0]
	}
	b := s.nodes[(a.id+1+s.rng.IntN(len(s.nodes)-1))%len(s.nodes)]
	switch s.rng.IntN(14) {
	case 0, 1:
		s.sayf("-- pause %s", a.name)
		a.paused = s.now + s.within([]time.Duration{100, 250, 800}[s.rng.IntN(3)]*time.Millisecond)
	case 2:
		a.kill()
	case 3:
		s.sayf("-- %s loses its power", a.name)
		a.kill()
		a.shut()
		a.power = false
	case 4, 5, 6:
		a.power = true
		a.start()
	case 7:
		s.sayf("-- cut %s to %s", a.name, b.name)
		s.cut[a.id][b.id] = true
	case 8:
		s.sayf("-- cut %s and %s", a.name, b.name)
		s.cut[a.id][b.id], s.cut[b.id][a.id] = true, true
	case 9:
		s.sayf("-- cut off %s", a.name)
		s.cutOff(a, true)
	case 10, 11:
		s.sayf("-- heal %s", a.name)
		s.cutOff(a, false)
	case 12:
		a.fit = !a.fit
	default:
		if a.p != nil {
			s.sayf("-- %s is to leave", a.name)
			a.p.self.Leaving = true
			a.p.poke()
		}
	}
}

// standsStill has a leader stand still, cut off, for nearly as long as a ticket lasts, then use it, and stand still again.
func (s *schedule) standsStill(l *node) {
	s.run(s.within(every))
	s.sayf("-- %s stands still and is cut off", l.name)
	s.cutOff(l, true)
	l.paused = s.now + l.failover()/2 + s.within(l.failover()*4/10)
	if s.rng.IntN(2) == 0 {
		l.paused = s.now + l.failover()*9/10 + s.within(l.failover()/9) // to the last moment
	}
	l.trap = 500 * time.Millisecond
}

// edge has the leader stand still, by the slowest clock, and the voters count by the fastest.
func edge(s *schedule) {
	for _, n := range s.nodes {
		n.rate = 1.01
	}
	for i := range 2 {
		s.nodes[i].rate = 0.99
	}
	l := s.steady()
	s.standsStill(l)
	was := s.opened
	s.run(800 * time.Millisecond)
	if s.opened > was {
		s.met["a claim while the old leader stood still"] = true
	}
	s.calm(s.nodes, "an edge")
}

// majority lets a majority talk, and does to the others whatever it likes.
func majority(s *schedule) {
	l := s.steady()
	s.stall = 0.01
	group := slices.Clone(s.nodes)
	s.rng.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
	group = group[:len(group)/2+1]
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if !slices.Contains(group, a) || !slices.Contains(group, b) {
				s.cut[a.id][b.id] = s.rng.IntN(2) == 0
			}
		}
	}
	if !slices.Contains(group, l) {
		s.met["lost its votes"] = true
	}
	s.run(s.within(500 * time.Millisecond))
	outside := slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return slices.Contains(group, n) })
	for _, n := range outside {
		if s.rng.IntN(3) == 0 {
			n.kill()
		}
	}
	// Nodes outside may lead with votes from inside.
	s.loss, s.stall = 0, 0
	s.run(max(settle, s.stalls-s.now) + time.Second)
	if len(s.serving(s.nodes)) != 1 {
		s.failf("nobody holds though a majority can talk")
	}
	s.calm(s.nodes, "a partition")
}

// forgetful has voters restart while the leader, standing still, still holds by their votes.
func forgetful(s *schedule) {
	l := s.steady()
	s.standsStill(l)
	for _, n := range s.nodes {
		if n != l && s.rng.IntN(4) > 0 {
			n.kill()
			s.after(s.within(20*time.Millisecond), n.start)
		}
	}
	s.run(800 * time.Millisecond)
	s.calm(s.nodes, "voters that forgot")
}

// halves leaves the leader one voter, which the others hear, too.
func halves(s *schedule) {
	l := s.steady()
	keeps := s.nodes[(l.id+1+s.rng.IntN(len(s.nodes)-1))%len(s.nodes)]
	s.cutOff(l, true)
	s.cut[l.id][keeps.id], s.cut[keeps.id][l.id] = false, false
	s.run(time.Second + s.within(500*time.Millisecond))
	if len(s.serving(s.nodes)) != 1 {
		s.failf("nobody holds though a majority can talk")
	}
	s.calm(s.nodes, "two halves")
}

// plug pulls the leader's plug.
func plug(s *schedule) {
	l := s.steady()
	s.run(s.within(100 * time.Millisecond))
	if s.rng.IntN(2) == 0 {
		s.cutOff(l, true)
	} else {
		l.kill()
		l.power = s.rng.IntN(2) == 0
	}
	s.run(700 * time.Millisecond)
	rest := slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return n == l })
	if s.failed == "" && len(s.serving(rest)) != 1 {
		s.failf("nobody has taken over within 700 ms of a plug")
	}
	s.calm(s.nodes, "a plug")
}

// handover has the leader stop; the other is to speak up at once.
func handover(s *schedule) {
	l := s.steady()
	s.run(s.within(100 * time.Millisecond))
	l.p.self.Leaving = true
	l.p.poke()
	s.run(100 * time.Millisecond)
	if h := s.serving(s.nodes); s.failed == "" && (len(h) != 1 || h[0] == l) {
		s.failf("nobody has taken over within 100 ms of a planned stop")
	}
	if s.rng.IntN(2) == 0 {
		s.storm(3)
	}
	s.calm(s.nodes, "a handover")
}

func (s *schedule) storm(faults int) {
	for range faults {
		s.fault()
		s.run(s.within(200 * time.Millisecond))
	}
}

// growth adds a voter or removes one, by restarts one after the other, with faults in between.
func growth(s *schedule) {
	old := s.nodes
	fewer := s.nodes[:len(s.nodes)-1]
	if len(fewer) < 3 {
		fewer = s.nodes
	}
	grow := s.rng.IntN(2) == 0
	if grow {
		s.configure(fewer...)
		old = fewer
	}
	for _, n := range old {
		n.start()
	}
	s.run(settle + time.Second)
	if grow {
		s.configure(s.nodes...)
	} else {
		s.configure(fewer...)
	}
	s.stall = 0.005
	for _, n := range s.nodes {
		if s.rng.IntN(3) == 0 {
			s.fault()
		}
		n.kill()
		s.run(s.within(200 * time.Millisecond))
		n.start()
		s.run(s.within(time.Second))
	}
	group := s.nodes
	if !grow {
		group = fewer
		for _, n := range s.nodes[len(fewer):] {
			n.kill()
			n.shut()
		}
	}
	s.calm(group, "a change of the voters")
}

// anotherSet has nodes with a wrong file: they know other voters, and are heard. Those who agree are a majority or not; but no vote counts
// for both.
func anotherSet(s *schedule) {
	s.blind = true
	for _, n := range s.nodes {
		n.other = s.rng.IntN(2) == 0
		n.start()
	}
	s.run(settle + time.Second)
	if h := s.holders(); len(h) == 1 {
		s.standsStill(h[0])
		s.run(s.within(600 * time.Millisecond))
	}
	s.stall = 0.01
	s.storm(2)
	for _, n := range s.nodes {
		if n.other {
			n.kill()
			n.other = false
		}
	}
	s.calm(s.nodes, "a wrong file")
}
