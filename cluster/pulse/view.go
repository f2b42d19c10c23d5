package pulse

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// view is one peer as readers see it. The beat thread runs with real-time priority and must never wait for a reader that holds a lock and is
// not scheduled; so there is no lock. Times are ns; what seldom changes is replaced as a whole.
type view struct {
	facts   atomic.Pointer[facts]
	seq     atomic.Uint64
	heard   atomic.Int64 // awake
	arrived atomic.Int64 // since base
	deafFor atomic.Int64
	paths   [MaxPaths]struct{ heard, deafFor atomic.Int64 } // heard: awake, 0: never
	// mirrored is the awake time of the newest beat that only a mirror delivered; 0: none.
	mirrored atomic.Int64
}

type facts struct {
	beat    Beat
	addr    netip.AddrPort
	hearsMe bool
}

// board is where the beat thread writes for readers.
//
// There are two clocks. Real time is monotonic and counts since base. Awake time is real time without this thread's oversleeps: an age
// in awake time is how long a peer was silent *while this node listened*. A reader turns it back into a time.Time that is moved forward by the oversleeps since.
type board struct {
	base  time.Time
	every time.Duration
	paths int
	views atomic.Pointer[[]*view]
	shift atomic.Int64 // sum of all oversleeps
	late  atomic.Int64 // when the last one was noticed, since base; 0: never
	// plan is the awake time of the next planned turn. A reader that sees it overdue knows of an oversleep before the thread itself does.
	plan atomic.Int64
	// listens is true while the thread runs; without it nobody would be late, and silence is silence.
	listens atomic.Bool
	granted atomic.Int64  // until when the votes of a majority let this node hold, since base; 0: there is no majority
	vote    atomic.Uint64 // the life that this node's own vote is granted to
}

// real is t in real time.
func (b *board) real(t time.Time) time.Duration { return t.Sub(b.base) }

// awake is real time now without the oversleeps, the one in progress included. The two loads need not be consistent: the thread stores shift first,
// and in between the sum is the same.
func (b *board) awake(now time.Duration) time.Duration {
	a := now - time.Duration(b.shift.Load())
	if !b.listens.Load() {
		return a
	}
	return min(a, time.Duration(b.plan.Load())+b.every)
}

// show publishes p.
func (b *board) show(p *peerState) {
	v := p.view
	fresh := v == nil
	if fresh {
		v = &view{}
		p.view = v
	}
	old := v.facts.Load()
	if old == nil || old.beat.sinSeq() != p.beat.sinSeq() || old.addr != p.addr || old.hearsMe != p.hearsMe {
		v.facts.Store(&facts{beat: p.beat, addr: p.addr, hearsMe: p.hearsMe})
	}
	v.seq.Store(p.seq)
	v.deafFor.Store(int64(p.deafFor))
	v.arrived.Store(int64(p.arrived))
	v.heard.Store(int64(p.heard))
	v.mirrored.Store(int64(p.mirrored))
	for i := range b.paths {
		v.paths[i].heard.Store(int64(p.paths[i].heard))
		v.paths[i].deafFor.Store(int64(p.paths[i].deafFor))
	}
	if fresh {
		var all []*view
		if l := b.views.Load(); l != nil {
			all = append(all, *l...)
		}
		all = append(all, v)
		b.views.Store(&all)
	}
}

// snapshot is what a reader sees now.
func (b *board) snapshot(now time.Time) Snapshot {
	s := Snapshot{}
	views := b.views.Load()
	if views == nil {
		return s
	}
	awake := b.awake(b.real(now))
	for _, v := range *views {
		age := max(awake-time.Duration(v.heard.Load()), 0)
		f := v.facts.Load()
		p := Peer{
			Beat: f.beat, Addr: f.addr, HearsMe: f.hearsMe,
			HeardAt: now.Add(-age), ArrivedAt: b.base.Add(time.Duration(v.arrived.Load())),
			DeafFor: time.Duration(v.deafFor.Load()),
		}
		p.Beat.Seq = v.seq.Load()
		p.MirroredAt = ago(now, awake, v.mirrored.Load())
		p.Paths = make([]PathState, b.paths)
		for i := range p.Paths {
			w := &v.paths[i]
			p.Paths[i] = PathState{HeardAt: ago(now, awake, w.heard.Load()), DeafFor: time.Duration(w.deafFor.Load())}
		}
		s[p.Beat.Node] = p
	}
	return s
}

// ago turns an awake time into a time; zero stays zero.
func ago(now time.Time, awake time.Duration, at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return now.Add(-max(awake-time.Duration(at), 0))
}

// overslept is the sum of the oversleeps, the one in progress included, and when the last one was noticed.
func (b *board) overslept(now time.Time) (total time.Duration, lastAt time.Time) {
	r := b.real(now)
	total = time.Duration(b.shift.Load())
	if late := r - total - time.Duration(b.plan.Load()); late > b.every && b.listens.Load() {
		return total + late, now
	}
	if l := b.late.Load(); l != 0 {
		lastAt = b.base.Add(time.Duration(l))
	}
	return total, lastAt
}
