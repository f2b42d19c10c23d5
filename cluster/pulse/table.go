package pulse

import (
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

const (
	maxPeers      = 16
	maxCandidates = 2 // lives of one peer that may be asked for a proof at the same time
	maxRetired    = 16
	// candidateLife is how long a life is asked for a proof after its last beat.
	candidateLife = 3 * time.Second
)

// table is what is known of the peers. It is pure state: no I/O, no clock; the beat thread owns it.
//
// A beat counts as heard when it belongs to the peer's *active* life, and its sequence number is new. A life becomes active by proving that
// it is present: one of its beats must echo this node's boot id with a sequence number not sent before that life was first seen. So neither
// a replay from before this node's restart (another boot id) nor one from before the peer's (an old sequence number) changes anything,
// and nothing needs to be remembered on disk.
type table struct {
	name     string
	boot     uint64
	keyID    uint32
	openID   uint32
	cluster  uint32
	mac      *seal.MAC
	failover time.Duration
	sent     uint64 // own highest sequence number
	paths    int    // of this node; 0 counts as 1

	peers map[string]*peerState
	d     datagram // scratch
}

type peerState struct {
	name       string
	boot       uint64 // of the active life; 0: none yet
	seq        uint64
	beat       Beat
	addr       netip.AddrPort
	index      int // in Config.Peers, from 1 on; 0: not known, it was never heard directly
	paths      [MaxPaths]pathState
	mirrored   time.Duration // awake time of the newest beat that came by a mirror; 0: none
	since      time.Duration // awake time at which this life of it became active
	heard      time.Duration // awake time of the newest beat's arrival
	arrived    time.Duration // real time of it
	hearsMe    bool
	deafFor    time.Duration
	echoed     time.Duration // awake time of the newest beat that spoke of this node
	candidates [maxCandidates]candidate
	retired    [maxRetired]uint64
	nRetired   int // ever; the ring's next slot is nRetired % maxRetired
	view       *view
}

// pathState is what is known of one path to a peer.
type pathState struct {
	seq     uint64        // of the newest beat that came this way, heard or not: another copy may have been faster
	heard   time.Duration // awake time of it; 0: none in this life
	deafFor time.Duration // how long the peer has not heard this node on it, as it said itself; -1: not known
}

// candidate is a life of a peer that has not proved to be present.
type candidate struct {
	boot      uint64
	seq       uint64
	challenge uint64        // echo this or a later one
	since     time.Duration // awake
	at        time.Duration // awake; newest beat
}

// outcome is what a datagram did.
type outcome struct {
	cause   Cause
	peer    *peerState // for Fine and Old
	changed bool       // something that the reader wants to be woken for
	answer  bool       // send a beat soon: somebody waits for a proof
	newLife bool       // first beat of this life of the peer
}

// byMirror is the path of a datagram that came by a mirror.
const byMirror = -1

// receive takes one datagram that arrived by a path at the given awake and real times.
func (t *table) receive(b []byte, from netip.AddrPort, path int, awake, arrived time.Duration) outcome {
	d := &t.d
	if c := t.authentic(b); c != Fine {
		return outcome{cause: c}
	}
	switch own := string(d.name) == t.name; {
	case own && d.beat.Boot == t.boot:
		return outcome{cause: Mirrored}
	case own:
		return outcome{cause: OwnName}
	case d.beat.Boot == t.boot:
		return outcome{cause: OwnBoot}
	}
	p := t.peer(awake)
	switch {
	case p == nil:
		return outcome{cause: Crowded}
	case p.boot == d.beat.Boot:
		p.came(path, d.beat.Seq, awake)
		if d.beat.Seq <= p.seq {
			return outcome{cause: Old, peer: p}
		}
		return t.hear(p, from, awake, arrived)
	case p.isRetired(d.beat.Boot):
		return outcome{cause: Retired}
	}
	return t.consider(p, from, path, awake, arrived)
}

// came notes the way of a beat of the active life. On each path sequence numbers must rise, so that a replay makes none look whole.
func (p *peerState) came(path int, seq uint64, awake time.Duration) {
	if path == byMirror {
		if seq > p.seq { // nobody was faster
			p.mirrored = max(p.mirrored, awake, 1)
		}
		return
	}
	if w := &p.paths[path]; seq > w.seq {
		w.seq, w.heard = seq, max(w.heard, awake, 1) // 0 is never
	}
}

// authentic decodes b into t.d and checks who sealed it.
func (t *table) authentic(b []byte) Cause {
	d := &t.d
	if c := d.decode(b); c != Fine {
		return c
	}
	switch {
	case d.keyID != t.keyID && (d.keyID == t.openID || t.keyID == t.openID):
		return NoKey
	case d.keyID != t.keyID:
		return OtherKey
	case !t.mac.Valid(b):
		return Forged
	case d.cluster != t.cluster:
		return OtherCluster
	}
	return Fine
}

// peer finds or makes the entry for the sender of t.d. Entries that never had an active life may be evicted for it.
func (t *table) peer(awake time.Duration) *peerState {
	if p := t.peers[string(t.d.name)]; p != nil {
		return p
	}
	if len(t.peers) >= maxPeers {
		for name, p := range t.peers {
			if p.boot == 0 && !p.hasCandidate(awake) {
				delete(t.peers, name)
				break
			}
		}
	}
	if len(t.peers) >= maxPeers {
		return nil
	}
	p := &peerState{name: string(t.d.name)}
	t.peers[p.name] = p
	return p
}

// consider handles a beat of a life that is not active.
func (t *table) consider(p *peerState, from netip.AddrPort, path int, awake, arrived time.Duration) outcome {
	d := &t.d
	c, isNew := p.candidate(d.beat.Boot, awake)
	if isNew {
		*c = candidate{boot: d.beat.Boot, challenge: t.sent, since: awake}
	}
	c.seq, c.at = max(c.seq, d.beat.Seq), awake
	e, ok := d.echo(t.boot)
	if !ok || e.seq < max(c.challenge, 1) {
		return outcome{cause: Learnt, answer: isNew}
	}
	if p.boot != 0 {
		p.retired[p.nRetired%maxRetired] = p.boot
		p.nRetired++
	}
	p.boot, p.seq, p.since = d.beat.Boot, 0, awake
	for i := range p.paths {
		p.paths[i] = pathState{heard: p.paths[i].heard, deafFor: -1} // its silence goes on, its numbers begin anew
	}
	p.came(path, d.beat.Seq, awake)
	*c = candidate{}
	o := t.hear(p, from, awake, arrived)
	o.changed, o.newLife, o.answer = true, true, true
	return o
}

// hear takes t.d as the newest beat of p's active life.
func (t *table) hear(p *peerState, from netip.AddrPort, awake, arrived time.Duration) outcome {
	d := &t.d
	o := outcome{cause: Fine, peer: p}
	o.changed = awake-p.heard > t.failover/2
	hearsMe := false
	if e, ok := d.echo(t.boot); ok {
		p.echoed, p.deafFor = awake, e.age
		hearsMe = !e.candidate && e.age <= t.failover/2
		for i := range p.paths {
			p.paths[i].deafFor = -1
			if i < d.paths && !e.candidate {
				p.paths[i].deafFor = time.Duration(e.paths[i]) * time.Millisecond
			}
		}
	} else {
		p.deafFor = awake - p.echoed
	}
	d.beat.Node = p.name
	if d.beat.sinSeq() != p.beat.sinSeq() || hearsMe != p.hearsMe {
		o.changed = true
	}
	p.beat, p.seq, p.hearsMe = d.beat, d.beat.Seq, hearsMe
	if from.IsValid() {
		p.addr = from
	}
	p.heard, p.arrived = max(p.heard, awake), max(p.arrived, arrived)
	return o
}

// sinSeq is the beat without the part that always changes.
func (b Beat) sinSeq() Beat {
	b.Seq, b.Vote.Round = 0, 0
	return b
}

// fill sets the echoes of a beat that is about to be sent.
func (t *table) fill(d *datagram, awake time.Duration) {
	d.n, d.paths = 0, max(t.paths, 1)
	for _, p := range t.peers {
		if p.boot != 0 {
			e := echo{boot: p.boot, seq: p.seq, age: awake - p.heard}
			for i := range d.paths {
				e.paths[i] = pathAge(p.paths[i].heard, awake)
			}
			d.echoes[d.n] = e
			d.n++
		}
		for _, c := range p.candidates {
			if c.boot != 0 && awake-c.at < candidateLife {
				d.echoes[d.n] = echo{boot: c.boot, seq: c.seq, age: awake - c.since, candidate: true}
				d.n++
			}
		}
	}
}

// candidate finds the slot of a life, or the one to use for it: an empty or expired one, else the one that has been silent for longest.
func (p *peerState) candidate(boot uint64, awake time.Duration) (c *candidate, isNew bool) {
	c = &p.candidates[0]
	for i := range p.candidates {
		x := &p.candidates[i]
		if x.boot == boot {
			return x, awake-x.at >= candidateLife
		}
		if x.boot == 0 || (c.boot != 0 && x.at < c.at) {
			c = x
		}
	}
	return c, true
}

func (p *peerState) hasCandidate(awake time.Duration) bool {
	for _, c := range p.candidates {
		if c.boot != 0 && awake-c.at < candidateLife {
			return true
		}
	}
	return false
}

func (p *peerState) isRetired(boot uint64) bool {
	for _, r := range p.retired[:min(p.nRetired, maxRetired)] {
		if r == boot {
			return true
		}
	}
	return false
}

// pathAge is how long ago heard was, as it is told.
func pathAge(heard, awake time.Duration) uint16 {
	if heard == 0 {
		return longAgo
	}
	return uint16(min(max((awake-heard).Milliseconds(), 0), longAgo))
}
