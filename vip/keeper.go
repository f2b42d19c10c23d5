package vip

import (
	"context"
	"errors"
	"fmt"
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
	vips  []netip.Addr
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
		cfg: cfg, sys: sys, log: log.Named("vip").With("link", cfg.Interface),
		poke: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		lease: &lease{clock: sys.Clock, budget: cfg.Failover},
	}
	for _, p := range cfg.Addresses {
		k.vips = append(k.vips, p.Addr())
	}
	k.st.LinkWhy = "not looked at yet"
	k.in.fact.Name = cfg.Interface
	gate, err := sys.Gate(cfg.Node, k.vips, cfg.Failover)
	if err != nil {
		k.st.Gate = fmt.Sprintf("none: %v", err)
		return k, nil
	}
	k.lease.gate, k.st.Gate = gate, "nftables"
	return k, nil
}

func (c Config) defaults() Config {
	if c.Lease == 0 {
		c.Lease = 2 * time.Second
	}
	if c.Failover == 0 {
		c.Failover = 200 * time.Millisecond
	}
	if c.Refresh == 0 {
		c.Refresh = time.Minute
	}
	c.Addresses = slices.Clone(c.Addresses)
	c.Neighbours = slices.Clone(c.Neighbours)
	return c
}

func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interface == "" {
		bad("vip: no interface is set")
	}
	if len(c.Addresses) == 0 {
		bad("vip: no addresses are set")
	}
	for i, p := range c.Addresses {
		if a := p.Addr(); !p.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			bad("vip: %s cannot be a virtual address", p)
		}
		if slices.ContainsFunc(c.Addresses[:i], func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			bad("vip: %s is listed twice", p.Addr())
		}
	}
	if c.Lease < 2*time.Second || c.Lease%time.Second != 0 {
		bad("vip: a lease of %s, must be whole seconds and at least 2s", c.Lease)
	}
	if c.Failover < 10*time.Millisecond {
		bad("vip: a failover time of %s, must be at least 10ms", c.Failover)
	}
	if c.RunDir == "" {
		bad("vip: no run directory is set")
	}
	return errors.Join(errs...)
}

// Want sets the wish. Call it with every decision, changed or not: after a claim that came too late, a lapse, or a return of the link, an old wish is
// not honoured again; only one that was made since is. After a lapse it must also carry another term, or not to hold must have been wanted in between.
func (k *Keeper) Want(w Wish) {
	at := k.sys.Clock()
	k.in.mu.Lock()
	k.in.wish, k.in.wishAt = w, at
	k.in.wishSeq++
	k.in.mu.Unlock()
	poke(k.poke)
}

// State returns what is so.
func (k *Keeper) State() State {
	k.in.mu.Lock()
	at, known := k.in.others.at, len(k.in.others.known) > 0
	k.in.mu.Unlock()
	k.smu.Lock()
	defer k.smu.Unlock()
	st := k.st
	st.OthersAt, st.OthersKnown = at, known
	st.MACs = slices.Clone(st.MACs)
	st.Sightings = slices.Clone(st.Sightings)
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
	k.in.peers = m
	k.in.others.forget(k.in.isPeer, time.Now())
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

// Point tells the segment, once, that the addresses are at another MAC: what a leader that is handing over can do for its clients while its
// own frames still find them. The MAC is in the payload; the frame itself comes from our own, so that no switch learns a wrong port.
func (k *Keeper) Point(mac net.HardwareAddr) error {
	to, ok := announce.MACOf(mac)
	if !ok {
		return fmt.Errorf("point to %s: not an Ethernet address", mac)
	}
	port, f := k.wire()
	own, ok := announce.MACOf(f.MAC)
	if port == nil || !ok {
		return fmt.Errorf("point to %s: %w", mac, errNoPort)
	}
	var errs []error
	for _, vip := range k.vips {
		frame := announce.Gratuitous(own, to, vip)
		if vip.Is6() {
			frame = announce.Unsolicited(own, to, vip, announce.MAC{}, netip.Addr{})
		}
		errs = append(errs, port.Send(frame))
	}
	return errors.Join(errs...)
}

// confirmTime is how long Confirm waits: enough for a repetition after 10 ms, little beside the silence that it saves.
const confirmTime = 25 * time.Millisecond

// Confirm tries to connect to a listener on a virtual address at the MAC of a peer, without asking the segment where the address is, from an address of
// this node. It takes as long as the answer does, and 25 ms at most. The connection is never completed; this host's kernel resets it.
func (k *Keeper) Confirm(ctx context.Context, mac net.HardwareAddr, to netip.AddrPort) (Verdict, error) {
	dst, ok := announce.MACOf(mac)
	if !ok {
		return NoAnswer, fmt.Errorf("confirm %s at %s: not an Ethernet address", to, mac)
	}
	port, f := k.wire()
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

// wire returns the sockets, or nil, and the link.
func (k *Keeper) wire() (Port, link.Fact) {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	return k.in.port, k.in.fact
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
