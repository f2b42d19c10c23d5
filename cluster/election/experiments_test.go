package election_test

import "fmt"

// An experiment is one fault in a steady pair (or three nodes), with what must follow from it.
type experiment struct {
	name string
	play func(*run)
}

var experiments = []experiment{
	{"crash of the leader", crash},
	{"crash of the standby", crashStandby},
	{"leader loses power and reboots", reboot},
	{"leader silently cut", silentCut},
	{"leader unplugged", unplugged},
	{"lone leader unplugged while its peer returns", unpluggedAlone},
	{"leader paused", paused},
	{"lone leader paused", lonePaused},
	{"standby paused", pausedStandby},
	{"deaf standby", deafStandby},
	{"deaf leader", deafLeader},
	{"mute standby", muteStandby},
	{"mute leader", muteLeader},
	{"leader does not hear the standby", oneWayToLeader},
	{"standby does not hear the leader", oneWayToStandby},
	{"IP filtered both ways", filtered},
	{"IP filtered one way", filteredOneWay},
	{"standby restarts while IP is filtered", restartFiltered},
	{"IP filtered at the first claim", filteredAtClaim},
	{"total cut between the nodes", totalCut},
	{"cut with mirrors", cutWithMirrors},
	{"mirrors fail", mirrorsFail},
	{"leader dies behind mirrors", diesBehindMirrors},
	{"leader stops", stops},
	{"operator's handover", handsOver},
	{"operator's word against preference and rank", wordStands},
	{"maintenance", maintenance},
	{"late order to take over", lateOrder},
	{"leader unfit", unfit},
	{"leader worse", worse},
	{"preempt", preempt},
	{"stranger answers for the dead", stranger},
	{"started at once", startedAtOnce},
	{"started alone", startedAlone},
	{"link of the leader flaps", flap},
}

func crash(r *run) {
	l, s := r.steady()
	kept := r.w.rng.IntN(2) == 0
	r.do("kill "+l.policy.Name, l.kill)
	r.wait(600)
	r.leads(s[0], "after the crash")
	r.gapAtMost(10, "crash")
	r.movedAtMost(1, "crash")
	if !kept {
		r.m.lostDisk = true
		l.disk.term, l.disk.newest = 0, 0
	}
	r.returns(l, s[0])
}

// returns starts n and checks that nothing moves.
func (r *run) returns(n, leader *node) {
	r.met["reboot"]++
	gap, moves := r.m.gap, r.m.moves
	r.do("power on "+n.policy.Name, func() { n.power = true; n.start() })
	r.wait(1800)
	r.leads(leader, "after the return")
	r.gapAtMost(gap, "return")
	r.movedAtMost(moves, "return")
}

func crashStandby(r *run) {
	l, s := r.steady()
	n := s[r.w.rng.IntN(len(s))]
	if r.w.rng.IntN(2) == 0 {
		r.do("kill "+n.policy.Name, n.kill)
	} else {
		r.do("power off "+n.policy.Name, n.off)
	}
	r.wait(500)
	r.returns(n, l)
	r.nodual("crash of the standby")
	r.movedAtMost(0, "crash of the standby")
}

func reboot(r *run) {
	l, s := r.steady()
	r.do("power off "+l.policy.Name, l.off)
	r.wait(600)
	r.leads(s[0], "after the loss of power")
	r.gapAtMost(fo+15, "loss of power")
	r.nodual("loss of power")
	r.returns(l, s[0])
	r.nodual("reboot")
}

func silentCut(r *run) {
	l, s := r.steady()
	r.do("silence "+l.policy.Name, func() { l.rx, l.tx = false, false })
	if !r.until(fo+15, s[0].open) {
		r.w.failf("%s did not claim within %d ms of the cut", s[0].policy.Name, fo+15)
	}
	r.wait(r.w.rng.IntN(1000))
	r.w.serves = 0 // the clients' caches point to the other one
	r.do("repair "+l.policy.Name, func() { l.rx, l.tx = true, true })
	r.wait(500)
	r.leads(s[0], "after the heal")
	r.movedAtMost(1, "silent cut")
}

func unplugged(r *run) {
	l, s := r.steady()
	r.do("unplug "+l.policy.Name, func() { l.carrier = false })
	r.wait(fo + 20)
	r.leads(s[0], "after the plug was pulled")
	r.gapAtMost(fo+15, "unplugged")
	r.wait(r.w.rng.IntN(1000))
	r.do("plug "+l.policy.Name, func() { l.carrier = true })
	r.wait(500)
	r.leads(s[0], "after the link returned")
	r.nodual("unplugged")
	r.movedAtMost(1, "unplugged")
}

func unpluggedAlone(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return
	}
	r.met["reboot"]++
	r.do("kill "+s[0].policy.Name, s[0].kill)
	r.wait(500)
	r.do("unplug "+l.policy.Name, func() { l.carrier = false })
	r.do("start "+s[0].policy.Name, s[0].start)
	r.wait(1000 + fo/4 + 20 + r.w.rng.IntN(500))
	r.leads(s[0], "returned while its peer was unplugged")
	r.do("plug "+l.policy.Name, func() { l.carrier = true })
	r.wait(500)
	r.leads(s[0], "after the link returned")
	r.nodual("unplugged while its peer returned")
	r.movedAtMost(1, "unplugged while its peer returned")
}

func paused(r *run) {
	r.met["pause"]++
	l, s := r.steady()
	d := 20 + r.w.rng.IntN(800)
	r.do(fmt.Sprintf("pause %s for %d ms", l.policy.Name, d), func() { l.pause(d) })
	r.wait(d + 600)
	r.nodual("pause of the leader")
	r.gapAtMost(140, "pause of the leader")
	switch {
	case d < fo-beatEvery:
		r.leads(l, "after a short pause")
		r.movedAtMost(0, "short pause")
	case d > fo+140:
		r.leads(s[0], "after a long pause")
		r.movedAtMost(1, "long pause")
	}
}

func lonePaused(r *run) {
	r.met["pause"]++
	l, s := r.steady()
	for _, n := range s {
		r.do("power off "+n.policy.Name, n.off)
	}
	r.wait(500)
	d := fo + 10 + r.w.rng.IntN(800)
	r.do(fmt.Sprintf("pause %s for %d ms", l.policy.Name, d), func() { l.pause(d) })
	r.wait(d + 1)
	if l.open() || l.p.self.Wish {
		r.w.failf("%s overslept and still holds", l.policy.Name)
	}
	r.wait(150)
	r.leads(l, "alone, after a pause")
}

func pausedStandby(r *run) {
	r.met["pause"]++
	l, s := r.steady()
	n := s[r.w.rng.IntN(len(s))]
	d := 20 + r.w.rng.IntN(1500)
	r.do(fmt.Sprintf("pause %s for %d ms", n.policy.Name, d), func() { n.pause(d) })
	r.wait(d + 500)
	r.leads(l, "after the pause of the standby")
	r.nodual("pause of the standby")
	r.movedAtMost(0, "pause of the standby")
}
