package vip

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/link"
)

// inbox is what others leave for Run.
type inbox struct {
	mu      sync.Mutex // guards the rest
	wish    Wish
	wishAt  time.Duration // by the system's clock
	wishSeq uint64
	hungry  bool // Run waits for a wish that is newer, though it may say the same
	peers   map[announce.MAC]string
	macs    map[string][]net.HardwareAddr // of each peer, in the order of its Config.Links
	again   string                        // announce again, for this reason
	ask     bool
	links   []inlet // in the order of Config.Links
}

// inlet is what came from one link.
type inlet struct {
	fact     link.Fact
	looked   bool                  // fact has been reported
	vanished map[netip.Prefix]bool // virtual addresses that left the link since Run looked
	claims   []seen                // of the virtual addresses, by others
	others   others
	port     Port
	broken   bool // the port's readers have failed
}

// seen is a frame with a time, and the number of the link that it came in on.
type seen struct {
	announce.Claim
	at   time.Time
	link int
}

func (in *inbox) isPeer(m announce.MAC) bool {
	_, ok := in.peers[m]
	return ok
}

// isOwn says whether a MAC is that of one of the links.
func (in *inbox) isOwn(m announce.MAC) bool {
	return slices.ContainsFunc(in.links, func(i inlet) bool {
		own, ok := announce.MACOf(i.fact.MAC)
		return ok && own == m
	})
}

// othersHeard says whether third parties are known on any link, and when one was last heard.
func (in *inbox) othersHeard() (known bool, at time.Time) {
	for i := range in.links {
		o := &in.links[i].others
		known, at = known || len(o.known) > 0, later(at, o.at)
	}
	return known, at
}

// linked takes a report of link n. It is called by the watch.
func (k *Keeper) linked(n int, f link.Fact) {
	k.in.mu.Lock()
	in := &k.in.links[n]
	for _, p := range k.links[n].Addresses {
		if has(in.fact, p) && !has(f, p) {
			if in.vanished == nil {
				in.vanished = make(map[netip.Prefix]bool)
			}
			in.vanished[p] = true
		}
	}
	in.fact, in.looked = f, true
	k.in.mu.Unlock()
	poke(k.poke)
}

func has(f link.Fact, p netip.Prefix) bool {
	return slices.ContainsFunc(f.Addrs, func(a link.Addr) bool { return a.Prefix == p })
}

// framed takes a frame from link n. It is called by the port's readers.
func (k *Keeper) framed(n int, frame []byte) {
	c, err := announce.Parse(frame)
	if err != nil {
		return
	}
	now := time.Now()
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	if k.in.isOwn(c.From) {
		return
	}
	in := &k.in.links[n]
	var mine []netip.Addr
	if c.Reply {
		mine = k.own(in.fact)
	}
	in.others.heard(c, k.in.isPeer(c.MAC) || k.in.isPeer(c.From), mine, now)
	if k.in.isOwn(c.MAC) || !slices.Contains(k.vips, c.Addr) {
		return
	}
	if len(in.claims) < maxSeen {
		in.claims = append(in.claims, seen{c, now, n})
	}
	poke(k.poke)
}

// own lists the addresses of this host on a link.
func (k *Keeper) own(f link.Fact) []netip.Addr {
	var own []netip.Addr
	for _, a := range f.Addrs {
		if ip := a.Prefix.Addr(); !slices.Contains(k.vips, ip) {
			own = append(own, ip)
		}
	}
	return own
}

// isGone says whether the gate's tables have been found missing.
func (l *lease) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// maxSeen bounds what a flood of frames can leave in an inlet between two turns of Run.
const maxSeen = 64
