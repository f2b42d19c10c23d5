package sim

import "time"

// storm lets faults overlap: nothing is promised meanwhile but that no goroutine gets stuck, and all is well again soon after the last of them has gone.
func (w *world) storm(events int) {
	for range events {
		n := w.all[w.dice.IntN(len(w.all))]
		m := w.all[w.dice.IntN(len(w.all))]
		switch w.dice.IntN(12) {
		case 0:
			if n.lives() {
				n.kill()
			}
		case 1:
			if n.lives() {
				n.terminate()
			}
		case 2, 3:
			n.revive()
		case 4:
			n.plug(w.dice.IntN(2) == 0)
		case 5:
			n.deafMute(w.dice.IntN(2) == 0, w.dice.IntN(2) == 0)
		case 6:
			if n.lives() {
				n.pause(w.between(time.Millisecond, time.Second))
			}
		case 7:
			if n.witness {
				continue
			}
			w.trace("the VIP of %s is removed", n.name)
			n.sys().Delete(n.cfg.VIP.Addresses[0])
		case 8:
			n.sys().SetSlow(w.between(0, 300*time.Millisecond))
		case 9:
			loss := w.dice.Float64() / 2
			w.ways(n, m, "loss", func(there, _ *path) { there.loss = loss })
		case 10:
			ip := w.dice.IntN(2) == 0
			w.ways(n, m, "cut one way", func(there, _ *path) { there.cut, there.ipCut = !ip, ip })
		case 11:
			w.heal()
		}
		time.Sleep(w.between(0, 700*time.Millisecond))
	}
	w.trace("the storm is over")
	w.heal()
	for _, n := range w.all {
		n.deafMute(false, false)
		n.plug(true)
		n.sys().SetSlow(0)
		n.revive()
	}
}

// lives says whether a daemon runs that nobody has told to stop.
func (n *node) lives() bool {
	p := n.running()
	return !p.dead.Load() && !p.told.Load()
}

// revive starts a daemon where none lives.
func (n *node) revive() {
	if !n.lives() {
		n.start()
	}
}
