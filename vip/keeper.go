package vip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

// Keeper makes the wish to hold the virtual addresses a fact. One goroutine, Run, owns the addresses; all other methods may be called from anywhere, and none of
// them but Confirm and Point touches the network or waits.
type Keeper struct {
	cfg   Config
	links []Link
	vips  []netip.Addr // of all links
	sys   System
	log   hclog.Logger
	lease *lease

	poke    chan struct{} // wakes Run
	changed chan struct{}

	in  inbox
	smu sync.Mutex // guards st
	st  State
}

// New checks the configuration and prepares a keeper; nothing is changed in the kernel before Run. The keeper closes sys at the end of Run.
func New(cfg Config, sys System, log hclog.Logger) (*Keeper, error) {
	cfg = cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	k := &Keeper{
		cfg: cfg, links: cfg.Links(), sys: sys, log: log.Named("vip"),
		poke: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		lease: &lease{clock: sys.Clock, budget: cfg.Failover, votes: cfg.Votes},
	}
	k.vips = cfg.vips()
	for _, l := range k.links {
		k.in.links = append(k.in.links, inlet{fact: link.Fact{Name: l.Interface}})
	}
	k.st.LinkWhy = unseen(cfg.Interface)
	gate, err := sys.Gate(cfg.Node, k.vips, cfg.Failover)
	if err != nil {
		k.st.Gate = fmt.Sprintf("none: %v", err)
		return k, nil
	}
	k.lease.gate, k.st.Gate = gate, "nftables"
	return k, nil
}

// Want sets the wish. Call it with every decision, changed or not: after a claim that came too late, a lapse, or a return of the link, an old wish is
// not honoured again; only one that was made since is. After a lapse it must also carry another term, or not to hold must have been wanted in between.
func (k *Keeper) Want(w Wish) {
	at := k.sys.Clock()
	k.in.mu.Lock()
	news := w != k.in.wish || k.in.hungry
	k.in.wish, k.in.wishAt = w, at
	k.in.wishSeq++
	k.in.mu.Unlock()
	if news { // the same wish comes forty times a second
		poke(k.poke)
	}
}

// State returns what is so.
func (k *Keeper) State() State {
	k.in.mu.Lock()
	known, at := k.in.othersHeard()
	k.in.mu.Unlock()
	k.smu.Lock()
	defer k.smu.Unlock()
	st := k.st
	st.OthersAt, st.OthersKnown = at, known
	st.MACs = slices.Clone(st.MACs)
	st.Sightings, st.Strays = slices.Clone(st.Sightings), slices.Clone(st.Strays)
	return st
}

// Changed receives after the state has changed; several changes may come as one. It has one reader.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Renew prolongs the lease on the addresses by Config.Failover from now. It is to be called before each beat, from the thread that beats, and costs
// one small transaction of nftables and no memory. It returns true when there is nothing to prolong, and false from the moment on at which the lease is found
// lost, until the addresses are off the link: the kernel has silenced this node, others may hold.
func (k *Keeper) Renew(now time.Time) bool {
	held, kept := k.lease.renew()
	if held && !kept {
		k.smu.Lock()
		k.st.Holds, k.st.Quiet, k.st.LostAt = false, false, now
		k.smu.Unlock()
		poke(k.poke)
		poke(k.changed)
	}
	if held && kept && k.lease.isGone() {
		poke(k.poke)
	}
	return kept
}

// SetPeers sets the MACs that the peers have published, by node.
func (k *Keeper) SetPeers(peers map[string][]net.HardwareAddr) {
	m := make(map[announce.MAC]string)
	for node, macs := range peers {
		for _, h := range macs {
			if mac, ok := announce.MACOf(h); ok {
				m[mac] = node
			}
		}
	}
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	k.in.peers, k.in.macs = m, maps.Clone(peers)
	for i := range k.in.links {
		k.in.links[i].others.forget(k.in.isPeer, time.Now())
	}
}

// Announce begins the schedule of announcements anew, if this node holds: after a rival has been heard, or has released.
func (k *Keeper) Announce(reason string) {
	k.in.mu.Lock()
	k.in.again = reason
	k.in.mu.Unlock()
	poke(k.poke)
}

// AskOthers asks the third parties that are known on the link for a sign of life: see State.OthersAt.
func (k *Keeper) AskOthers() {
	k.in.mu.Lock()
	k.in.ask = true
	k.in.mu.Unlock()
	poke(k.poke)
}

var errNoPort = errors.New("the link is not there")

// Point tells the segments, once, that the addresses are at another node: what a leader that is handing over can do for its clients while its
// own frames still find them. The node's MACs are in the order of Config.Links. They are in the payload; the frames themselves come from our own, so that no switch learns a wrong port.
func (k *Keeper) Point(macs []net.HardwareAddr) error {
	if len(macs) < len(k.links) {
		return fmt.Errorf("point to %d MACs: there are %d links with virtual addresses", len(macs), len(k.links))
	}
	var errs []error
	for n := range k.links {
		errs = append(errs, k.point(n, macs[n]))
	}
	return errors.Join(errs...)
}

func (k *Keeper) point(n int, mac net.HardwareAddr) error {
	to, ok := announce.MACOf(mac)
	if !ok {
		return fmt.Errorf("point to %s: not an Ethernet address", mac)
	}
	port, f := k.wire(n)
	own, ok := announce.MACOf(f.MAC)
	if port == nil || !ok {
		return fmt.Errorf("point to %s: %w", mac, errNoPort)
	}
	var errs []error
	for _, p := range k.links[n].Addresses {
		frame := announce.Gratuitous(own, to, p.Addr())
		if p.Addr().Is6() {
			frame = announce.Unsolicited(own, to, p.Addr(), announce.MAC{}, netip.Addr{})
		}
		errs = append(errs, port.Send(frame))
	}
	return errors.Join(errs...)
}

// confirmTime is how long Confirm waits: enough for a repetition after 10 ms, little beside the silence that it saves.
const confirmTime = 25 * time.Millisecond

// Confirm tries to connect to a listener on a virtual address at the MAC of a peer, without asking the segment where the address is, from an address of
// this node. The peer's MACs are in the order of Config.Links. It takes as long as the answer does, and 25 ms at most. The connection is never completed; this host's kernel resets it.
func (k *Keeper) Confirm(ctx context.Context, macs []net.HardwareAddr, to netip.AddrPort) (Verdict, error) {
	n := max(0, slices.IndexFunc(k.links, func(l Link) bool {
		return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == to.Addr() })
	}))
	if n >= len(macs) {
		return NoAnswer, fmt.Errorf("confirm %s: it would be at MAC %d of %d known", to, n+1, len(macs))
	}
	mac := macs[n]
	dst, ok := announce.MACOf(mac)
	if !ok {
		return NoAnswer, fmt.Errorf("confirm %s at %s: not an Ethernet address", to, mac)
	}
	port, f := k.wire(n)
	src, ok := announce.MACOf(f.MAC)
	if port == nil || !ok {
		return NoAnswer, fmt.Errorf("confirm %s at %s: %w", to, mac, errNoPort)
	}
	own, ok := f.Own(to.Addr(), k.vips)
	if !ok {
		return NoAnswer, fmt.Errorf("confirm %s at %s: %s has no address of its own of that family", to, mac, f.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	a, err := port.Knock(ctx, dst, src, own, to)
	switch a {
	case announce.Refused:
		return Refused, err
	case announce.Accepted:
		return Accepted, err
	}
	return NoAnswer, err
}

// wire returns the sockets of link n, or nil, and the link.
func (k *Keeper) wire(n int) (Port, link.Fact) {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	return k.in.links[n].port, k.in.links[n].fact
}

// poke wakes the reader; a wake-up already pending is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// passes says whether IP passes in a mode.
func passes(m fence.Mode) bool { return m != fence.Shut }
