package pulse

import (
	"net/netip"
	"time"
)

// ways is what the thread makes of the ways to one configured peer.
type ways struct {
	direct Apart           // all paths together
	paths  [MaxPaths]Apart // each of them
	silent [MaxPaths]bool  // told so
}

// arrived notes by what way a beat of p came: who was heard on a path is known by its address there.
func (t *thread) arrived(p *peerState, path int, from netip.AddrPort) {
	if path == byMirror {
		t.p.count.mirrored.Add(1)
		return
	}
	for i, a := range t.p.peersOn(path) {
		if a.Addr().Unmap() == from.Addr().Unmap() && a.Port() == from.Port() {
			p.index = i + 1
		}
	}
}

// peersOn are the peers' addresses on a path.
func (p *Pulse) peersOn(path int) []netip.AddrPort {
	if path == 0 {
		return p.cfg.Peers
	}
	return p.cfg.Paths[path-1].Peers
}

// apart looks at all ways and returns the set of configured peers that no path joins to this node in both directions.
func (t *thread) apart() (set uint16) {
	b := &t.p.board
	awake := b.real(time.Now()) - time.Duration(b.shift.Load())
	for i := range t.p.cfg.Peers {
		w, p := &t.ways[i], t.heardLast(i)
		silence, deaf := awake-t.began, time.Duration(0)
		for path := range b.paths {
			s, d := t.pathTo(p, path, awake)
			if to := t.p.peersOn(path); i < len(to) && to[i].IsValid() && b.paths > 1 {
				t.look(i, path, w, p, awake, s, d)
			}
			if silence = min(silence, s); path == 0 {
				deaf = d
			}
			deaf = min(deaf, d)
		}
		if w.direct.Look(t.p.cfg.Failover, awake, silence, deaf) {
			set |= 1 << i
		}
	}
	return set
}

// pathTo is how long this node has not heard p on a path, and p this node. What p said is forgotten with its voice.
func (t *thread) pathTo(p *peerState, path int, awake time.Duration) (silence, deaf time.Duration) {
	silence = awake - t.began
	if p == nil {
		return silence, 0
	}
	if w := &p.paths[path]; w.heard != 0 {
		silence = awake - w.heard
	}
	if age := awake - p.heard; age < t.p.cfg.Failover && p.paths[path].deafFor >= 0 {
		deaf = min(p.paths[path].deafFor+age, awake-p.since) // a path on which it has never heard us it says to be silent for ever
	}
	return silence, deaf
}

// look notes for the log when a path falls silent, or works again, while the peer is heard by another.
func (t *thread) look(i, path int, w *ways, p *peerState, awake, silence, deaf time.Duration) {
	broken := w.paths[path].Look(t.p.cfg.Failover, awake, silence, deaf)
	heard := p != nil && awake-p.heard < t.p.cfg.Failover/2
	if broken != w.silent[path] && (heard || !broken) {
		w.silent[path] = broken
		t.p.news.path(path, i, broken)
	}
}

// heardLast is the peer at the i-th configured address: of several that were there under different names, the one that was heard last.
func (t *thread) heardLast(i int) (last *peerState) {
	for _, p := range t.table.peers {
		here := p.index == i+1 || p.index == 0 && len(t.p.cfg.Peers) == 1
		if here && p.boot != 0 && (last == nil || p.heard > last.heard) {
			last = p
		}
	}
	return last
}
