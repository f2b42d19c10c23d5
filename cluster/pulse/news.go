package pulse

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// quiet is the least time between two logs of the same cause.
const quiet = time.Minute

// stale is the age from which a refusal is of no interest any more.
const stale = 5 * time.Second

// news is how the beat thread, which must not wait for a terminal or a pipe, has things logged: it leaves a note and pokes. All methods are for
// that thread; tell takes the notes.
type news struct {
	poked    chan struct{}
	culprits [causes]atomic.Pointer[culprit]
	last     [causes]atomic.Int64            // when it happened last, ns since 1970
	recent   [causes]atomic.Pointer[culprit] // the newest of a peer, renewed once a second; for Problems
	peers    []netip.AddrPort                // whose refusals are problems
	births   chan birth
	slept    atomic.Int64 // longest oversleep not yet told
	rt       atomic.Pointer[error]
	failing  [MaxPaths][maxPeers]bool
	sendErrs [MaxPaths][maxPeers]atomic.Pointer[error] // nil: sends; not nil: does not, or sends again if it points to nil
	paths    [MaxPaths][maxPeers]atomic.Int32          // pathBroken, pathWhole, or 0: nothing to tell
}

const (
	pathBroken = 1 + iota
	pathWhole
)

type culprit struct {
	addr netip.AddrPort
	name string
	at   time.Time
}

type birth struct {
	name string
	addr netip.AddrPort
}

func newNews(peers []netip.AddrPort) news {
	// As many births as there are peers: at start all come at once.
	return news{peers: peers, poked: make(chan struct{}, 1), births: make(chan birth, maxPeers)}
}

// refused notes one culprit per cause; further ones are only counted until it has been told.
func (n *news) refused(c Cause, from netip.AddrPort, name []byte) {
	now := time.Now()
	n.last[c].Store(now.UnixNano())
	n.blame(c, from, name, now)
	if n.culprits[c].Load() != nil {
		return
	}
	x := &culprit{addr: from, at: now}
	switch c {
	case Learnt, Old, Mirrored, Fine:
		return // part of everyday life
	case Oversized, Malformed, OtherVersion, OtherKey, NoKey, Forged: // the name is not to be trusted
	default:
		x.name = strings.Clone(string(name))
	}
	n.culprits[c].Store(x)
	poke(n.poked)
}

func (n *news) born(name string, from netip.AddrPort) {
	select {
	case n.births <- birth{name, from}:
		poke(n.poked)
	default:
	}
}

func (n *news) overslept(d time.Duration) {
	if int64(d) > n.slept.Load() {
		n.slept.Store(int64(d))
	}
	poke(n.poked)
}

func (n *news) priority(err error) {
	n.rt.Store(&err)
	poke(n.poked)
}

// sent notes when sending to the i-th peer by a path begins or ceases to fail.
func (n *news) sent(path, i int, err error) {
	if (err != nil) == n.failing[path][i] {
		return
	}
	n.failing[path][i] = err != nil
	n.sendErrs[path][i].Store(&err)
	poke(n.poked)
}

// path notes that a path to the i-th peer broke, or works again.
func (n *news) path(path, i int, broken bool) {
	state := int32(pathWhole)
	if broken {
		state = pathBroken
	}
	n.paths[path][i].Store(state)
	poke(n.poked)
}

// tell logs the notes until ctx is done.
func (p *Pulse) tell(ctx context.Context) {
	var last [causes]time.Time
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.news.poked:
		case <-timer.C:
		}
		p.tellState()
		next := quiet
		for c := range causes {
			if p.news.culprits[c].Load() == nil {
				continue
			}
			now := time.Now()
			if wait := quiet - now.Sub(last[c]); !last[c].IsZero() && wait > 0 {
				next = min(next, wait)
				continue
			}
			if now.Sub(time.Unix(0, p.news.last[c].Load())) > stale {
				p.news.culprits[c].Store(nil) // it is over: no news any more
				continue
			}
			last[c] = now
			p.tellRefusal(c, p.news.culprits[c].Swap(nil), p.count.by[c].Load())
		}
		timer.Reset(next)
	}
}

// tellState logs everything but refusals.
func (p *Pulse) tellState() {
	n := &p.news
	if err := n.rt.Swap(nil); err != nil && *err != nil {
		p.log.Warn("beats have no real-time priority, a busy host may delay them: allow it with LimitRTPRIO=1", "err", *err)
	}
	for len(n.births) > 0 {
		b := <-n.births
		p.log.Debug("first beat of this life of a peer", "peer", b.name, "addr", b.addr)
	}
	if d := time.Duration(n.slept.Swap(0)); d >= p.cfg.Failover/2 {
		p.log.Warn("overslept: this process did not run", "took", d)
	} else if d > 0 {
		p.log.Debug("overslept a little", "took", d)
	}
	for path := range p.board.paths {
		for i, to := range p.peersOn(path) {
			p.tellPath(path, i, to)
		}
	}
}

// tellPath logs what is new of one path to one peer.
func (p *Pulse) tellPath(path, i int, to netip.AddrPort) {
	n := &p.news
	switch err := n.sendErrs[path][i].Swap(nil); {
	case err == nil:
	case *err != nil:
		p.log.Warn("beats cannot be sent", "addr", to, "err", *err)
	default:
		p.log.Info("beats can be sent again", "addr", to)
	}
	switch n.paths[path][i].Swap(0) {
	case pathBroken:
		p.log.Warn("path broken: beats come by another one", "addr", to, "path", path)
	case pathWhole:
		p.log.Info("path works again", "addr", to, "path", path)
	}
}

// tellRefusal logs one cause, and what to do about it.
func (p *Pulse) tellRefusal(c Cause, x *culprit, count uint64) {
	log := p.log.With("addr", x.addr, "count", count)
	switch c {
	case OtherKey:
		log.Warn("beats refused, sealed with another key: give all nodes the same cluster.key_file")
	case NoKey:
		log.Warn("beats refused, one node has a key and the other is insecure: give all nodes the same cluster.key_file")
	case OtherVersion:
		log.Warn("beats refused, of another version of the protocol: run the same version of tandem on all nodes")
	case OtherCluster:
		log.Warn("beats refused, of a cluster with another name: give each cluster its own key", "peer", x.name)
	case OwnName:
		log.Warn("beats refused, another node has this node's name: give each node its own", "peer", x.name)
	case OwnBoot:
		log.Warn("beats refused, another node has this node's boot id: it was cloned while running, restart it", "peer", x.name)
	case Retired:
		log.Warn("beats refused, of an earlier life of a peer: two nodes have the same name, or somebody replays", "peer", x.name)
	case Crowded:
		log.Warn("beats refused, too many nodes: at most 16 peers are possible", "peer", x.name)
	case Forged:
		log.Warn("beats refused, the seal is wrong: damaged on the way, or forged")
	case Malformed, Oversized:
		log.Warn("datagrams refused, these are no beats: something else sends to this port")
	case Fine, Learnt, Old, Mirrored:
	}
}
