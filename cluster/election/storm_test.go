package election_test

import "fmt"

// storm lets faults come one upon the other, then heals everything and waits until nothing moves any more.
func storm(r *run) {
	w := r.w
	switch w.rng.IntN(4) {
	case 0:
		w.loss = 0.2 * w.rng.Float64()
	case 1:
		w.mislaid = w.rng.Float64()
	}
	w.serves = []float64{0, 0.3, 1}[w.rng.IntN(3)]
	if w.rng.IntN(4) == 0 {
		r.met["preempt"]++
		for _, n := range w.nodes {
			n.policy.Preempt, n.policy.Priority = true, 100+w.rng.IntN(20)
		}
	}
	for _, n := range w.nodes {
		if w.rng.IntN(8) > 0 {
			r.do("start "+n.policy.Name, n.start)
		}
		r.wait(w.rng.IntN(500))
	}
	r.wait(w.rng.IntN(1500))
	var undo []func()
	for range 3 + w.rng.IntN(5) {
		heal := r.fault()
		if heal != nil {
			undo = append(undo, heal)
		}
		r.wait([]int{10, 60, 250, 600}[w.rng.IntN(4)] + w.rng.IntN(100))
		if len(undo) > 0 && w.rng.IntN(2) == 0 {
			i := w.rng.IntN(len(undo))
			undo[i]()
			undo = append(undo[:i], undo[i+1:]...)
		}
		r.wait(w.rng.IntN(300))
	}
	for _, f := range undo {
		f()
	}
	r.calm()
}

// calm heals everything, and checks that one node leads in the end and that nothing moves any more.
func (r *run) calm() {
	w := r.w
	r.do("calm", func() {
		w.foreign, w.mislaid = false, 0
		for i, n := range w.nodes {
			n.carrier, n.rx, n.tx, n.third, n.fit, n.maint, n.rank, n.power = true, true, true, true, true, false, 0, true
			for j := range w.nodes {
				w.frame[i][j], w.ip[i][j] = true, true
			}
			if n.p != nil {
				n.p.paused = min(n.p.paused, w.now)
			}
			n.start()
		}
	})
	r.wait(1500)
	for _, n := range w.nodes {
		n.start() // one that was stopping
	}
	r.wait(500)
	if r.leader() == nil {
		w.failf("no single leader in the calm")
	}
	if w.loss > 0 {
		return
	}
	moves := r.m.moves
	r.wait(500)
	limit := moves
	for _, n := range w.nodes {
		if n.policy.Preempt {
			limit++
		}
	}
	r.movedAtMost(limit, "the calm")
}

// fault makes one fault, and returns what heals it, nil for nothing.
func (r *run) fault() (heal func()) {
	w := r.w
	a := w.nodes[w.rng.IntN(len(w.nodes))]
	b := w.nodes[(a.id+1+w.rng.IntN(len(w.nodes)-1))%len(w.nodes)]
	do := func(what string, f, undo func()) func() {
		r.do(what, f)
		if undo == nil {
			return nil
		}
		return func() { r.do("heal: "+what, undo) }
	}
	an, bn := a.policy.Name, b.policy.Name
	switch w.rng.IntN(20) {
	case 0:
		return do("kill "+an, a.kill, a.start)
	case 1:
		r.met["reboot"]++
		return do("power off "+an, a.off, func() { a.power = true; a.start() })
	case 2:
		r.met["reboot"]++
		return do("power off "+an+", disk lost", func() {
			a.off()
			r.m.lostDisk = true
			a.disk.term, a.disk.newest = 0, 0
		}, func() { a.power = true; a.start() })
	case 3, 4:
		r.met["pause"]++
		d := 20 + w.rng.IntN(700)
		return do(fmt.Sprintf("pause %s for %d ms", an, d), func() { a.pause(d) }, func() {
			if a.p != nil {
				a.p.paused = min(a.p.paused, w.now)
			}
		})
	case 5:
		return do("unplug "+an, func() { a.carrier = false }, func() { a.carrier = true })
	case 6:
		return do("silence "+an, func() { a.rx, a.tx = false, false }, func() { a.rx, a.tx = true, true })
	case 7:
		return do("deafen "+an, func() { a.rx = false }, func() { a.rx = true })
	case 8:
		return do("mute "+an, func() { a.tx = false }, func() { a.tx = true })
	case 9, 10:
		return do("cut "+an+" to "+bn, func() { w.frame[a.id][b.id] = false }, func() { w.frame[a.id][b.id] = true })
	case 11:
		return do("cut "+an+" and "+bn, func() { w.frame[a.id][b.id], w.frame[b.id][a.id] = false, false },
			func() { w.frame[a.id][b.id], w.frame[b.id][a.id] = true, true })
	case 12:
		return do("filter "+an+" and "+bn, func() { r.filter(a, b, false, false) }, func() { r.filter(a, b, true, true) })
	case 13:
		return do("filter "+an+" to "+bn, func() { w.ip[a.id][b.id] = false }, func() { w.ip[a.id][b.id] = true })
	case 14:
		return do(an+" unfit", func() { a.fit = false }, func() { a.fit = true })
	case 15:
		return do(an+" worse", func() { a.rank = 10 }, func() { a.rank = 0 })
	case 16:
		return do("stop "+an, a.leave, a.start)
	case 17:
		r.met["handover"]++
		return do("order "+an+" to hand over to "+bn, func() { a.order(b.id) }, nil)
	case 18:
		return do(an+" in maintenance", func() { a.maint = true }, func() { a.maint = false })
	default:
		return do("a stranger answers", func() { w.foreign = true }, func() { w.foreign = false })
	}
}
