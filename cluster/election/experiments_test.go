package election_test

import (
	"fmt"
	"time"
)

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

func deafStandby(r *run) {
	l, s := r.steady()
	n := s[r.w.rng.IntN(len(s))]
	r.do("deafen "+n.policy.Name, func() { n.rx = false })
	r.wait(500 + r.w.rng.IntN(3000))
	r.do("repair "+n.policy.Name, func() { n.rx = true })
	r.wait(500)
	r.leads(l, "beside a deaf standby")
	r.nodual("deaf standby")
	r.movedAtMost(0, "deaf standby")
}

func deafLeader(r *run) {
	l, s := r.steady()
	r.do("deafen "+l.policy.Name, func() { l.rx = false })
	r.wait(fo + 60)
	r.leads(s[0], "beside a deaf leader")
	r.wait(r.w.rng.IntN(2000))
	r.do("repair "+l.policy.Name, func() { l.rx = true })
	r.wait(500)
	r.leads(s[0], "after the repair")
	r.nodual("deaf leader")
	r.movedAtMost(1, "deaf leader")
}

func muteStandby(r *run) {
	l, s := r.steady()
	n := s[0]
	r.do("mute "+n.policy.Name, func() { n.tx = false })
	r.wait(500 + r.w.rng.IntN(1000))
	r.do("repair "+n.policy.Name, func() { n.tx = true })
	r.wait(500)
	r.leads(l, "beside a mute standby")
	r.nodual("mute standby")
	r.movedAtMost(0, "mute standby")
}

func muteLeader(r *run) {
	l, s := r.steady()
	r.do("mute "+l.policy.Name, func() { l.tx = false })
	r.wait(fo + 20)
	r.leads(s[0], "beside a mute leader")
	r.gapAtMost(fo/4+15, "mute leader")
	r.wait(r.w.rng.IntN(2000))
	r.do("repair "+l.policy.Name, func() { l.tx = true })
	r.wait(500)
	r.leads(s[0], "after the repair")
	r.nodual("mute leader")
	r.movedAtMost(1, "mute leader")
}

func oneWayToLeader(r *run) {
	l, s := r.steady()
	r.do("cut "+s[0].policy.Name+" to "+l.policy.Name, func() { r.w.frame[s[0].id][l.id] = false })
	r.wait(500 + r.w.rng.IntN(2000))
	r.leads(l, "not hearing the standby")
	r.do("heal", func() { r.w.frame[s[0].id][l.id] = true })
	r.wait(500)
	r.leads(l, "after the heal")
	r.nodual("one-way loss to the leader")
	r.movedAtMost(0, "one-way loss to the leader")
}

func oneWayToStandby(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return // the third node decides, see the storms
	}
	r.w.mirrors = false // with them: cutWithMirrors
	r.do("cut "+l.policy.Name+" to "+s[0].policy.Name, func() { r.w.frame[l.id][s[0].id] = false })
	r.wait(fo + 20)
	r.leads(s[0], "not hearing the leader")
	r.wait(r.w.rng.IntN(2000))
	r.leads(s[0], "not hearing the leader")
	r.do("heal", func() { r.w.frame[l.id][s[0].id] = true })
	r.wait(500)
	r.leads(s[0], "after the heal")
	r.gapAtMost(fo/4+15, "one-way loss to the standby")
	r.nodual("one-way loss to the standby")
	r.movedAtMost(1, "one-way loss to the standby")
}

func filtered(r *run) {
	l, s := r.steady()
	r.do("filter IP", func() { r.filter(l, s[0], false, false) })
	r.wait(500 + r.w.rng.IntN(3000))
	r.leads(l, "while IP is filtered")
	r.do("heal", func() { r.filter(l, s[0], true, true) })
	r.wait(500)
	r.leads(l, "after the heal")
	r.nodual("IP filtered")
	r.movedAtMost(0, "IP filtered")
}

func (r *run) filter(a, b *node, ab, ba bool) { r.w.ip[a.id][b.id], r.w.ip[b.id][a.id] = ab, ba }

func filteredOneWay(r *run) {
	l, s := r.steady()
	way := r.w.rng.IntN(2) == 0
	r.do("filter IP one way", func() { r.filter(l, s[0], way, !way) })
	r.wait(500 + r.w.rng.IntN(2000))
	r.leads(l, "while IP is filtered one way")
	r.do("heal", func() { r.filter(l, s[0], true, true) })
	r.wait(500)
	r.leads(l, "after the heal")
	r.nodual("IP filtered one way")
	r.movedAtMost(0, "IP filtered one way")
}

func restartFiltered(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return
	}
	r.met["reboot"]++
	r.do("filter IP", func() { r.filter(l, s[0], false, false) })
	r.wait(300)
	r.do("restart "+s[0].policy.Name, func() { s[0].kill(); s[0].start() })
	r.wait(5000)
	r.leads(l, "standby restarted while IP is filtered")
	r.nodual("standby restarted while IP is filtered")
	r.movedAtMost(0, "standby restarted while IP is filtered")
}

// filteredAtClaim blocks IP in the moment in which the first node claims: the other one's last news is that nobody holds.
func filteredAtClaim(r *run) {
	if len(r.w.nodes) > 2 {
		return
	}
	for _, n := range r.w.nodes {
		r.do("start "+n.policy.Name, n.start)
		r.wait(r.w.rng.IntN(300))
	}
	r.until(1500, func() bool { return r.m.moves > 0 })
	a, b := r.w.nodes[0], r.w.nodes[1]
	r.do("filter IP", func() { r.filter(a, b, false, false) })
	r.wait(3000) // the monitor knows: no claim beside an answer
}

func totalCut(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return // three nodes that see each other only in part: pair mode promises nothing
	}
	r.w.mirrors = false // with them: cutWithMirrors
	set := func(up bool) { r.w.frame[l.id][s[0].id], r.w.frame[s[0].id][l.id] = up, up }
	r.do("cut", func() { set(false) })
	r.wait(fo + 20)
	if !l.open() || !s[0].open() {
		r.w.failf("without any frame between them, both must go on")
	}
	r.wait(r.w.rng.IntN(2000))
	if r.w.rng.IntN(2) == 0 {
		r.do("heal one way", func() { r.w.frame[l.id][s[0].id] = true })
		r.wait(r.w.rng.IntN(300))
	}
	r.do("heal", func() { set(true) })
	gap := r.m.gap // of before
	r.wait(500)
	if r.leader() == nil {
		r.w.failf("no single leader after the heal")
	}
	r.gapAtMost(max(gap, 20), "heal of a total cut") // healed within a beat of giving up on a one-way loss, both let go
}

func stops(r *run) {
	l, s := r.steady()
	lossy := r.w.rng.IntN(4) == 0
	if lossy {
		r.w.mislaid = 1
	}
	r.do("stop "+l.policy.Name, l.leave)
	r.wait(100)
	r.w.mislaid = 0
	if l.p != nil {
		r.w.failf("%s was asked to stop and still runs", l.policy.Name)
	}
	if lossy {
		r.wait(fo + 200) // neither order nor bye arrived
		if n := r.leader(); n != nil && n != l {
			s[0] = n // the order's term belongs to nobody: among three, it makes the last holder forgotten
		}
	} else {
		r.gapAtMost(0, "stop of the leader")
	}
	r.leads(s[0], "after the stop")
	r.nodual("stop of the leader")
	r.returns(l, s[0])
}

func handsOver(r *run) {
	l, s := r.steady()
	r.met["handover"]++
	lossy := r.w.rng.IntN(3) == 0
	if lossy {
		r.w.mislaid = 1
	}
	r.do("hand over to "+s[0].policy.Name, func() { l.order(s[0].id) })
	r.wait(10 + r.w.rng.IntN(200))
	r.w.mislaid = 0
	r.wait(300)
	if lossy {
		r.leads(l, "after the order was lost")
		r.movedAtMost(0, "order lost")
	} else {
		r.leads(s[0], "after the handover")
		r.movedAtMost(1, "handover")
	}
	r.gapAtMost(0, "handover")
	r.nodual("handover")
}

// wordStands: the VIP stays where an operator put it, though the other node is preferred and fitter.
func wordStands(r *run) {
	for i, n := range r.w.nodes {
		n.policy.Preempt, n.policy.Priority = true, 120-10*i
	}
	l, s := r.steady()
	r.met["handover"]++
	if r.w.failed != "" {
		return
	}
	if r.w.rng.IntN(2) == 0 {
		r.do(s[0].policy.Name+" worse", func() { s[0].rank = 10 })
	}
	r.wait(20)
	r.do("hand over to "+s[0].policy.Name, func() { l.order(s[0].id) })
	r.wait(10_600) // after a handover preemption waits for ten seconds
	r.leads(s[0], "an operator's word")
	r.movedAtMost(1, "operator's word")
	r.gapAtMost(0, "operator's word")
	r.do("hand back", func() { s[0].order(l.id) })
	r.wait(300)
	r.leads(l, "another word")
	r.gapAtMost(0, "another word")
}

// maintenance: a node in maintenance does not claim, whatever happens; when that is over it does.
func maintenance(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return
	}
	r.do(s[0].policy.Name+" in maintenance", func() { s[0].maint = true })
	r.wait(100 + r.w.rng.IntN(100))
	r.do("hand over to "+s[0].policy.Name, func() { l.order(s[0].id) })
	r.wait(300)
	r.leads(l, "an order to a node in maintenance")
	r.movedAtMost(0, "an order to a node in maintenance")
	r.gapAtMost(0, "an order to a node in maintenance")
	r.do("kill "+l.policy.Name, l.kill)
	r.wait(500)
	if n := r.leader(); n != nil {
		r.w.failf("%s leads in maintenance", n.policy.Name)
	}
	r.do("end of maintenance", func() { s[0].maint = false })
	r.wait(300)
	r.leads(s[0], "after the end of maintenance")
}

func lateOrder(r *run) {
	l, s := r.steady()
	r.met["handover"]++
	d := 40 + r.w.rng.IntN(600)
	r.do(fmt.Sprintf("pause %s for %d ms and hand over to it", s[0].policy.Name, d), func() {
		s[0].pause(d)
		l.order(s[0].id)
	})
	r.wait(d + 400)
	if d > 70 {
		r.leads(l, "after an order to a sleeper")
		r.movedAtMost(0, "order to a sleeper")
	}
	r.gapAtMost(0, "order to a sleeper")
	r.nodual("order to a sleeper")
}

func unfit(r *run) {
	l, s := r.steady()
	r.do(l.policy.Name+" unfit", func() { l.fit = false })
	r.wait(30)
	r.leads(s[0], "after the leader became unfit")
	r.gapAtMost(20, "unfit")
	r.wait(r.w.rng.IntN(500))
	r.do(l.policy.Name+" fit", func() { l.fit = true })
	r.wait(500)
	r.leads(s[0], "after the old leader became fit")
	r.nodual("unfit")
	r.movedAtMost(1, "unfit")
}

func worse(r *run) {
	l, s := r.steady()
	r.met["handover"]++
	r.do(l.policy.Name+" worse", func() { l.rank = 10 })
	r.wait(100)
	r.leads(s[0], "after the leader became worse")
	for range 3 {
		r.do("ranks turn", func() { l.rank, s[0].rank = s[0].rank, l.rank })
		r.wait(300)
	}
	r.leads(s[0], "within a minute of the last move")
	r.gapAtMost(0, "worse")
	r.nodual("worse")
	r.movedAtMost(1, "worse")
}

func preempt(r *run) {
	r.met["preempt"]++
	for i, n := range r.w.nodes {
		n.policy.Preempt, n.policy.Priority, n.policy.PreemptDelay = true, 120-10*i, 1500*time.Millisecond
	}
	l, s := r.steady()
	if l != r.w.nodes[0] {
		r.w.failf("%s leads, want lb1", l.policy.Name)
	}
	r.do("kill "+l.policy.Name, l.kill)
	r.wait(300)
	r.leads(s[0], "after the crash")
	gap := r.m.gap
	r.do("start "+l.policy.Name, l.start)
	r.wait(1450)
	r.leads(s[0], "before the delay is over")
	r.wait(200)
	r.leads(l, "after the delay")
	r.gapAtMost(gap, "preempt")
	r.nodual("preempt")
	r.movedAtMost(2, "preempt")
}

func stranger(r *run) {
	l, s := r.steady()
	r.do("a stranger answers, and "+l.policy.Name+" loses power", func() { r.w.foreign = true; l.off() })
	r.wait(ms(s[0].policy.ForeignWait))
	if s[0].open() {
		r.w.failf("%s claimed before a lease was over", s[0].policy.Name)
	}
	r.wait(fo + 15)
	r.leads(s[0], "after a lease was over")
}

func startedAtOnce(r *run) {
	w := r.w
	for _, n := range w.nodes {
		n.disk.term = uint64(w.rng.IntN(3))
		n.disk.newest = n.disk.term
	}
	for _, n := range w.nodes {
		r.do("start "+n.policy.Name, n.start)
		r.wait(w.rng.IntN(100))
	}
	r.wait(1000 + fo/4 + 2*ms(w.nodes[0].policy.Stagger))
	if r.leader() == nil {
		w.failf("no single leader after the start at once")
	}
	r.wait(300)
	if r.m.duals > race {
		w.failf("started at once, two held for %d ms, want at most %d", r.m.duals, race)
	}
	r.movedAtMost(len(w.nodes), "started at once")
}

func startedAlone(r *run) {
	n := r.w.nodes[r.w.rng.IntN(len(r.w.nodes))]
	n.disk.term = uint64(r.w.rng.IntN(3))
	n.disk.newest = n.disk.term
	r.do("start "+n.policy.Name, n.start)
	r.wait(999)
	if n.open() {
		r.w.failf("%s claimed before it had settled", n.policy.Name)
	}
	r.wait(fo/4 + 20)
	r.leads(n, "started alone")
	for _, o := range r.w.nodes {
		if o != n {
			r.returns(o, n)
		}
	}
	r.nodual("started alone")
}

func flap(r *run) {
	l, s := r.steady()
	if s[0].disk.term >= l.disk.term {
		return // s[0] claimed too, and let go at once
	}
	d := 5 + r.w.rng.IntN(fo/2-40)
	r.do(fmt.Sprintf("the link of %s is down for %d ms", l.policy.Name, d), func() { l.carrier = false })
	r.wait(d)
	r.do("and up", func() { l.carrier = true })
	r.wait(300)
	r.leads(l, "after a short loss of the link")
	r.gapAtMost(d+30, "short loss of the link")
	r.nodual("short loss of the link")
}
