package election_test

import "fmt"

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
