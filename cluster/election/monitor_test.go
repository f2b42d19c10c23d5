package election_test

import (
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

// Bounds of the invariants, in ms, for the default failover time of 200 ms.
const (
	fo = 200
	// meets is how long two holders may last once their beats pass both ways: one beat each way and the decision.
	meets = 40
	// meetsOneWay: as long as it takes the one that does not hear the other to say so: failover/2, a beat, the decision.
	meetsOneWay = fo/2 + 30
	// lossy bounds are longer: at 20 % loss, five beats in a row are lost once in 3000 times.
	lossyFactor = 4
	// race is how far apart two claims may be that could not know of each other: a beat, its travel, the claim's own time.
	race = beatEvery + 2 + 3 + 2
	// vacant is how long nobody may hold when every node hears every other and one is fit and settled; and the stagger of two better ones.
	vacant = fo + fo/4 + 100
)

// monitor watches the world from outside, where the truth is known, and says what must not happen.
type monitor struct {
	w        *world
	changed  int // the world last changed by other than the nodes' doing
	good     [maxNodes][maxNodes]int
	dual     [maxNodes][maxNodes]int // since when both are open; 0: not
	both     [maxNodes][maxNodes]int // since when beats pass both ways between live processes; 0: not
	oneWay   [maxNodes][maxNodes]int
	alive    [maxNodes]int // since when its process runs and is not paused; 0: not
	opened   [maxNodes]int // since when open; 0: shut
	deafFor  [maxNodes]int // since when third parties are not heard; 0: heard
	answers  [maxNodes][maxNodes]int
	unfit    [maxNodes]int
	terms    [maxNodes]uint64
	claims   map[uint64]claim
	lostDisk bool
	gap      int // longest time without a live holder since the last reset
	gapSince int
	duals    int // ms with two holders, handovers apart
	dualAt   int // the last of them
	overlap  int // ms with two holders in all
	moves    int // claims
	met      bool
	oneway   bool
}

type claim struct{ node, at int }

func watch(w *world) *monitor {
	m := &monitor{w: w, claims: map[uint64]claim{}}
	w.onClaim = m.claim
	return m
}

// since keeps in *t the moment at which cond became true.
func (m *monitor) since(t *int, cond bool) int {
	switch {
	case !cond:
		*t = 0
		return 0
	case *t == 0:
		*t = m.w.now
	}
	return m.w.now - *t
}

// bound is longer where datagrams get lost.
func (m *monitor) bound(ms int) int {
	if m.w.loss > 0 {
		return ms * lossyFactor
	}
	return ms
}

// handing reports whether a is handing over to b.
func handing(a, b *node) bool {
	if b.p == nil {
		return false
	}
	t := b.p.self.Take
	if t.From != a.policy.Name || t.Term != b.p.self.Term || !b.p.self.Wish {
		return false
	}
	// An order that was just taken back may cross with the claim. (Where a claim by order is silent until the leader is, nobody sees that.)
	return a.p == nil || a.p.self.Term < t.Term || at(a.w.now).Sub(a.p.self.Giving.At) < a.policy.Handover+race*time.Millisecond
}

func (m *monitor) look() {
	w := m.w
	live := 0
	for i, n := range w.nodes {
		m.since(&m.alive[i], n.live())
	}
	for i, n := range w.nodes {
		m.opens(i, n)
		if n.open() && n.p != nil {
			live++
		}
		m.since(&m.deafFor[i], !(n.third && n.rx && n.tx && n.carrier))
		for j := range w.nodes {
			if i != j {
				m.since(&m.good[i][j], w.ipPasses(i, j) && n.power)
				m.since(&m.answers[i][j], n.open() && n.live() && w.passes(i, j) && w.passes(j, i))
			}
			if i < j {
				m.pair(i, j)
			}
		}
		if n.live() {
			bad := !n.carrier || !n.fit || n.maint
			if d := m.since(&m.unfit[i], bad); d > 1 && n.open() {
				w.failf("%s has no link, is unfit or in maintenance and still answers after %d ms", n.policy.Name, d)
			}
			if m.terms[i] > n.p.self.Term && !m.lostDisk {
				w.failf("%s went back from term %d to %d", n.policy.Name, m.terms[i], n.p.self.Term)
			}
			m.terms[i] = n.p.self.Term
		} else {
			m.unfit[i] = 0
		}
	}
	m.gap = max(m.gap, m.since(&m.gapSince, live == 0))
	m.held(live)
}

// opens checks that nobody begins to hold beside a holder that it hears.
func (m *monitor) opens(i int, n *node) {
	was := m.opened[i] != 0
	m.since(&m.opened[i], n.open())
	if was || !n.open() || n.p == nil {
		return
	}
	for j, h := range m.w.nodes {
		if j == i || !h.open() || m.opened[j] == 0 || h.p == nil || h.p.told == 0 || m.w.now-h.p.told < m.bound(race) || handing(h, n) {
			continue
		}
		if m.w.loss > 0 && !h.live() {
			continue // its last beats may have been lost: its gate was renewed later than it was heard
		}
		if m.alive[j] != 0 && m.w.now-m.alive[j] < m.bound(race) {
			continue // it woke in the very moment in which the other's patience ended
		}
		settled := m.w.now-n.p.started > fo
		if m.good[j][i] != 0 && m.w.now-m.good[j][i] > fo+50 && settled && m.w.now-h.p.started > fo+50 {
			m.w.failf("%s begins to hold (%s) though the beats of %s, which holds, reach it", n.policy.Name, n.p.d.Reason, h.policy.Name)
		}
	}
}

// pair checks how long two hold.
func (m *monitor) pair(i, j int) {
	w := m.w
	a, b := w.nodes[i], w.nodes[j]
	live := a.live() && b.live()
	two := a.open() && b.open()
	ab, ba := w.ipPasses(i, j), w.ipPasses(j, i)
	m.since(&m.both[i][j], live && ab && ba)
	m.since(&m.oneWay[i][j], live && ab != ba)
	hand := handing(a, b) || handing(b, a)
	m.since(&m.dual[i][j], two && !hand)
	if two && a.p != nil && b.p != nil {
		m.overlap++
		if !hand && m.dualAt != w.now { // of three holders it is still one millisecond
			m.duals, m.dualAt = m.duals+1, w.now
		}
		if !hand {
			m.met = m.met || ab && ba
		}
	}
	if m.oneWay[i][j] != 0 && w.now-m.oneWay[i][j] > fo {
		m.oneway = true
	}
	if m.dual[i][j] == 0 {
		return
	}
	if s := max(m.both[i][j], m.dual[i][j]); m.both[i][j] != 0 && w.now-s > m.bound(meets) {
		w.failf("%s and %s both hold, and have heard each other for %d ms", a.policy.Name, b.policy.Name, w.now-s)
	}
	// Whoever hears the other yields, unless the other is deaf to all: then it answers nobody.
	deaf := m.deafFor[i] != 0 || m.deafFor[j] != 0
	sees := w.passes(i, j) && w.passes(j, i)
	if s := max(m.oneWay[i][j], m.dual[i][j]); m.oneWay[i][j] != 0 && !deaf && !sees && w.now-s > m.bound(meetsOneWay) {
		w.failf("%s and %s both hold, and one has heard the other for %d ms", a.policy.Name, b.policy.Name, w.now-s)
	}
}

// held checks that one node holds as soon as that is possible.
func (m *monitor) held(live int) {
	w := m.w
	if w.foreign {
		m.changed = w.now
	}
	settledAt, fit := 0, 0
	for i, n := range w.nodes {
		if n.p == nil {
			continue
		}
		if n.p.paused > w.now || n.p.self.Leaving || !(n.rx && n.tx && n.third) {
			m.changed = w.now
			return
		}
		for j, o := range w.nodes {
			if i != j && o.p != nil && n.carrier && o.carrier && !w.ipPasses(i, j) {
				return
			}
		}
		if n.carrier && n.fit && !n.maint {
			fit++
			if s := n.p.started + ms(n.policy.Settle); fit == 1 || s < settledAt {
				settledAt = s
			}
		}
	}
	if fit == 0 {
		return
	}
	wait := vacant + 2*ms(w.nodes[0].policy.Stagger)
	if w.loss > 0 {
		wait += 200
	}
	if live == 0 && w.now-m.changed > wait && w.now-settledAt > wait-fo {
		w.failf("nobody holds, %d ms after the last change and %d ms after a fit node had settled", w.now-m.changed, w.now-settledAt)
	}
}

// claim checks a claim at the moment of its decision.
func (m *monitor) claim(n *node, d election.Decision) {
	w := m.w
	m.moves++
	silence := d.Reason == election.ReasonSilence || d.Reason == election.ReasonAlone || d.Reason == election.ReasonForeign || d.Reason == election.ReasonUnclaimed
	if silence && m.deafFor[n.id] != 0 && n.p.thirds && w.now-m.deafFor[n.id] > 60 {
		// Since is after the beginning of the deafness by then, or the silence is.
		if at(m.deafFor[n.id]).Before(at(n.p.wire.since)) {
			w.failf("%s hears nobody and claims on silence", n.policy.Name)
		}
	}
	if !ordered(d) && w.now-n.p.started < ms(n.policy.Settle) {
		w.failf("%s claims before it has settled", n.policy.Name)
	}
	if n.p.self.Leaving || !n.fit || n.maint || !n.carrier {
		w.failf("%s claims (%s) though it is unfit, in maintenance or leaving", n.policy.Name, d.Reason)
	}
	// Three nodes that see each other only in part may know of a claim that has ended, and not of one that has not.
	if (silence || d.Reason == election.ReasonVacant && len(w.nodes) == 2) && w.loss == 0 {
		for j, h := range w.nodes {
			if a := m.answers[j][n.id]; j != n.id && a != 0 && w.now-a > 150 && n.rx && n.tx {
				w.failf("%s claims (%s) though %s answers on the wire", n.policy.Name, string(d.Reason), h.policy.Name)
			}
		}
	}
	if c, ok := m.claims[d.Term]; ok && c.node != n.id && !m.lostDisk {
		if both := m.both[min(c.node, n.id)][max(c.node, n.id)]; both != 0 && w.now-max(both, c.at) > m.bound(race) {
			w.failf("%s claims term %d, which %s had claimed %d ms before", n.policy.Name, d.Term, w.nodes[c.node].policy.Name, w.now-c.at)
		}
	}
	if d.Term < n.p.self.Newest && !ordered(d) {
		w.failf("%s claims term %d though it knows of %d", n.policy.Name, d.Term, n.p.self.Newest)
	}
	m.claims[d.Term] = claim{n.id, w.now}
}
