package pulse

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

const (
	// gap is the least time between two beats: news go out at once, but two nodes that excite each other do not fill the link.
	gap = time.Millisecond
	// drainMax bounds one drain, so that a flood of strangers' datagrams cannot keep the thread from beating.
	drainMax = 1024
)

// thread is what the beat thread owns. It takes no lock, logs nothing, and allocates nothing per beat.
type thread struct {
	p         *Pulse
	table     table
	votes     *votes // nil: pair mode
	mac       *seal.MAC
	next      time.Time // the planned turn
	late      bool      // this turn began more than one beat after next
	lastSend  time.Time
	lastEmpty time.Duration // real time before which every waiting datagram had been read
	in, out   [maxSize + 1]byte
	d         datagram
	began     time.Duration // awake
	ways      [maxPeers]ways
}

// loop takes turns until ctx is done: wait, drain, notice an oversleep, send.
func (t *thread) loop(ctx context.Context, tr Transport) error {
	b := &t.p.board
	t.next = time.Now()
	t.lastEmpty = b.real(t.next)
	t.began = t.lastEmpty - time.Duration(b.shift.Load())
	t.plan()
	b.listens.Store(true)
	defer b.listens.Store(false)
	for {
		if err := tr.Wait(t.wakeAt()); err != nil {
			return fmt.Errorf("wait for beats: %w", err)
		}
		now := time.Now()
		overslept := now.Sub(t.next)
		t.late = overslept > b.every
		t.drain(tr)
		if t.late { // only now: what waited in the queue has been given its true age
			b.shift.Add(int64(overslept))
			b.late.Store(int64(b.real(now)))
			t.p.news.overslept(overslept)
		}
		t.turn(ctx, tr, now)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// turn sends what is due.
func (t *thread) turn(ctx context.Context, tr Transport, now time.Time) {
	every := t.p.board.every
	urgent := t.p.urgent.Load() && (ctx.Err() != nil || now.Sub(t.lastSend) >= gap)
	due := !now.Before(t.next)
	if due {
		if t.next = t.next.Add(every); !t.next.After(now) {
			t.next = now.Add(every) // no burst after an oversleep
		}
		t.plan()
	}
	if urgent || (due && ctx.Err() == nil) {
		t.send(tr)
	}
}

func (t *thread) plan() {
	b := &t.p.board
	b.plan.Store(int64(b.real(t.next)) - b.shift.Load())
}

func (t *thread) wakeAt() time.Time {
	if hot := t.lastSend.Add(gap); t.p.urgent.Load() && hot.Before(t.next) {
		return hot
	}
	return t.next
}

// send sends one beat to every peer, if Tick allows it and there is something to say.
func (t *thread) send(tr Transport) {
	p := t.p
	p.urgent.Store(false) // before the beat is read: a Publish in between sets it again
	now := time.Now()
	t.lastSend = now
	b := p.beat.Load()
	t.vote(now, t.table.sent+1, b != nil && b.Vote.Plea == quorum.Ask)
	if p.cfg.Tick != nil && !p.cfg.Tick(now) {
		p.count.withheld.Add(1)
		return
	}
	if b == nil {
		return
	}
	data := t.encode(b)
	t.write(tr, data, 0, p.cfg.Peers)
	for i := range p.cfg.Paths {
		t.write(tr, data, i+1, p.cfg.Paths[i].Peers)
	}
	if apart := t.apart(); p.cfg.Mirror != nil {
		p.cfg.Mirror(data, apart)
	}
}

// write sends data to all peers by one path.
func (t *thread) write(tr Transport, data []byte, path int, peers []netip.AddrPort) {
	p := t.p
	for i, to := range peers {
		if !to.IsValid() {
			continue
		}
		err := tr.Write(data, path, to)
		p.news.sent(path, i, err)
		if err != nil {
			p.count.sendFailed.Add(1)
			continue
		}
		p.count.sent.Add(1)
	}
}

// encode makes the next beat.
func (t *thread) encode(b *Beat) []byte {
	t.table.sent++
	d := &t.d
	d.keyID, d.cluster = t.table.keyID, t.table.cluster
	d.beat = *b
	d.beat.Seq = t.table.sent
	t.votes.fill(&d.beat)
	d.name = append(d.name[:0], b.Node...)
	now := t.p.board.real(time.Now())
	t.table.fill(d, now-time.Duration(t.p.board.shift.Load()))
	return t.mac.Append(d.appendTo(t.out[:0]), 0)
}

// drain reads all that waits.
func (t *thread) drain(tr Transport) {
	for range drainMax {
		before := t.p.board.real(time.Now())
		a, ok, err := tr.Read(t.in[:])
		if err != nil {
			break
		}
		if !ok {
			t.lastEmpty = before
			break
		}
		t.take(t.in[:min(a.N, len(t.in))], a.From, a.Path, t.arrival(a.Stamp))
	}
	for {
		select {
		case m := <-t.p.mirrors:
			now := t.p.board.real(time.Now())
			t.take(m.data, m.from, byMirror, min(t.p.board.real(m.at), now))
		default:
			return
		}
	}
}

// arrival turns a wall-clock stamp into real time. time.Now reads both clocks together, so only the age counts, not where the wall clock stands. An
// age that cannot be, because the datagram would have been there when the queue was last found empty, or would come from the future,
// means that the wall clock was stepped; then the datagram is as old as it can be.
func (t *thread) arrival(stamp int64) time.Duration {
	now := time.Now()
	arrived := t.p.board.real(now)
	age := time.Duration(now.UnixNano() - stamp)
	if oldest := arrived - t.lastEmpty; age < 0 || age > oldest {
		age = oldest
	}
	return arrived - age
}

// take hands one datagram to the table and publishes what it did.
func (t *thread) take(data []byte, from netip.AddrPort, path int, at time.Duration) {
	b := &t.p.board
	awake := at
	if t.late {
		awake = min(at, b.real(t.next)) // no time passes in a sleep
	}
	awake -= time.Duration(b.shift.Load())
	addr := from
	if path != 0 {
		addr = netip.AddrPort{}
	}
	o := t.table.receive(data, addr, path, awake, at)
	t.p.count.by[o.cause].Add(1)
	if o.peer != nil {
		t.arrived(o.peer, path, from)
		b.show(o.peer)
	}
	if o.answer {
		t.p.urgent.Store(true)
	}
	if o.cause != Fine && path == byMirror {
		return // counted; the address is the mirror's, which is not to blame
	}
	if o.cause != Fine {
		t.p.news.refused(o.cause, from, t.table.d.name)
		return
	}
	t.hearVote(o.peer)
	if o.newLife {
		t.p.news.born(o.peer.name, from)
	}
	if o.changed {
		poke(t.p.changed)
	}
}
