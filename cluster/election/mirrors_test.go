package election_test

import "fmt"

// Experiments with mirrors: third parties that carry beats while no direct path works.

// sever cuts frames, or only IP, in one direction or both between two nodes, and returns what it did and what heals it.
func (r *run) sever(a, b *node) (what string, heal func()) {
	w := r.w
	way := &w.frame
	if w.rng.IntN(3) == 0 {
		way = &w.ip
	}
	ways := 1 + w.rng.IntN(3)
	what = fmt.Sprintf("cut of %d ways, frames %v", (ways+1)/2, way == &w.frame)
	r.do(what, func() { way[a.id][b.id], way[b.id][a.id] = ways&1 == 0, ways&2 == 0 })
	return what, func() { r.do("heal", func() { way[a.id][b.id], way[b.id][a.id] = true, true }) }
}

// cutWithMirrors: between nodes that both reach third parties nothing moves, also where mirrors lose a fifth.
func cutWithMirrors(r *run) {
	l, s := r.steady()
	r.w.mirrors = true
	what, heal := r.sever(l, s[0])
	r.wait(500 + r.w.rng.IntN(3000))
	r.leads(l, "with mirrors, "+what)
	heal()
	r.wait(500)
	r.leads(l, "with mirrors, after the heal")
	r.nodual("with mirrors, " + what)
	r.movedAtMost(0, "with mirrors, "+what)
}

// mirrorsFail: what was so without mirrors is so when they cease to work; and when they work again, two holders become one.
func mirrorsFail(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return // the third node decides, see the storms
	}
	w := r.w
	w.mirrors = true
	w.frame[l.id][s[0].id], w.frame[s[0].id][l.id] = false, false
	r.wait(300 + w.rng.IntN(500))
	r.do("mirrors fail", func() { w.mirrors = false })
	r.wait(fo + 30)
	if !l.open() || !s[0].open() {
		w.failf("without any frame between them, both must go on")
	}
	r.wait(w.rng.IntN(1000))
	r.do("mirrors work", func() { w.mirrors = true })
	bound := meets + beatEvery
	if w.blurred > 0 {
		bound *= lossyFactor
	}
	r.wait(bound)
	if r.leader() == nil {
		w.failf("%d hold, though mirrors carry their beats", r.open())
	}
	moves := r.m.moves
	r.wait(500)
	r.movedAtMost(moves, "mirrors that work again")
}

// diesBehindMirrors: mirrors make no failure slower.
func diesBehindMirrors(r *run) {
	l, s := r.steady()
	if len(s) > 1 {
		return // a third node that the leader reaches directly is the candidate
	}
	w := r.w
	w.mirrors = true
	what, heal := r.sever(l, s[0])
	r.wait(300 + w.rng.IntN(1000))
	r.do("power off "+l.policy.Name, l.off)
	r.wait(fo + 40)
	r.leads(s[0], "leader lost behind mirrors, "+what)
	r.gapAtMost(fo+20, "leader lost behind mirrors")
	r.nodual("leader lost behind mirrors")
	heal()
	r.returns(l, s[0])
}
