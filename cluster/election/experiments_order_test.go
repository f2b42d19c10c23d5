package election_test

import (
	"fmt"
	"time"
)

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
