package election_test

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
	gap, moves := r.m.gap, r.m.moves // of before
	if r.w.rng.IntN(2) == 0 {
		r.do("heal one way", func() { r.w.frame[l.id][s[0].id] = true })
		r.wait(r.w.rng.IntN(300))
		gap, moves = max(r.m.gap, 20), r.m.moves+1 // healed within a beat of giving up on a one-way loss, both let go
	}
	r.do("heal", func() { set(true) })
	r.wait(500)
	if r.leader() == nil {
		r.w.failf("no single leader after the heal")
	}
	r.gapAtMost(gap, "heal of a total cut")
	r.movedAtMost(moves, "heal of a total cut")
}
