package vip

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/link"
)

// inbox is what others leave for Run.
type inbox struct {
	mu       sync.Mutex // guards the rest
	wish     Wish
	wishAt   time.Duration // by the system's clock
	wishSeq  uint64
	fact     link.Fact
	looked   bool                  // fact has been reported
	vanished map[netip.Prefix]bool // virtual addresses that left the link since Run looked
	peers    map[announce.MAC]string
	again    string // announce again, for this reason
	ask      bool
	claims   []seen // of the virtual addresses, by others
	others   others
	port     Port
	broken   bool // the port's readers have failed
}

// seen is a frame with a time.
type seen struct {
	announce.Claim
	at time.Time
}

func (in *inbox) isPeer(m announce.MAC) bool {
	_, ok := in.peers[m]
	return ok
}

// linked takes a report of the link. It is called by the watch.
func (k *Keeper) linked(f link.Fact) {
	k.in.mu.Lock()
	for _, p := range k.cfg.Addresses {
		if has(k.in.fact, p) && !has(f, p) {
			if k.in.vanished == nil {
				k.in.vanished = make(map[netip.Prefix]bool)
			}
			k.in.vanished[p] = true
		}
	}
	k.in.fact, k.in.looked = f, true
	k.in.mu.Unlock()
	poke(k.poke)
}

func has(f link.Fact, p netip.Prefix) bool {
	return slices.ContainsFunc(f.Addrs, func(a link.Addr) bool { return a.Prefix == p })
}

// framed takes a frame from the link. It is called by the port's readers.
func (k *Keeper) framed(frame []byte) {
	c, err := announce.Parse(frame)
	if err != nil {
		return
	}
	now := time.Now()
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	own, _ := announce.MACOf(k.in.fact.MAC)
	if c.From == own {
		return
	}
	var mine []netip.Addr
	if c.Reply {
		mine = k.own(k.in.fact)
	}
	k.in.others.heard(c, k.in.isPeer(c.MAC) || k.in.isPeer(c.From), mine, now)
	if c.MAC == own || !slices.Contains(k.vips, c.Addr) {
		return
	}
	if len(k.in.claims) < maxSeen {
		k.in.claims = append(k.in.claims, seen{c, now})
	}
	poke(k.poke)
}

// own lists the addresses of this host on the link.
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

// maxSeen bounds what a flood of frames can leave in the inbox between two turns of Run.
const maxSeen = 64
