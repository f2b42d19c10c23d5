package gossip

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	bindRetry    = 250 * time.Millisecond
	updateWait   = 250 * time.Millisecond // how long UpdateNode may wait for its broadcast; 36–210 ms were seen
	leaveWait    = 300 * time.Millisecond
	byeLead      = 20 * time.Millisecond // memberlist handles the newest of the waiting messages first: the goodbye must not wait beside the leave
	nameReclaim  = time.Second           // a dead node's name may be taken by another address after this
	fullSync     = 5 * time.Second
	streamBudget = time.Second
)

// Run takes part in the cluster until ctx ends, then says goodbye and leaves; that takes at most about half a second. It
// joins the configured peers, again and again while one of them is missing. It waits, and says so, while Bind is not an
// address of this host, and returns an error if the address is taken by another process. Call it once.
//
// When it returns, what it started has ended, but for memberlist's own goroutines, which nobody can wait for: they do
// nothing more and end within a probe's time.
func (g *Gossip) Run(ctx context.Context) error {
	tr, err := g.transport(ctx)
	if err != nil || tr == nil {
		return err
	}
	list, err := memberlist.Create(g.listConfig(tr))
	if err != nil {
		return errors.Join(fmt.Errorf("start gossip: %w", err), tr.Shutdown())
	}
	g.log.Info("gossiping", "addr", g.cfg.Bind, "encrypted", g.key != nil)

	var wg sync.WaitGroup
	for _, p := range g.cfg.Peers {
		wg.Go(func() { g.keepJoined(ctx, list, p) })
	}
	wg.Go(func() { g.publishMeta(ctx, list) })
	w := newWatcher(g)
	w.run(ctx)
	if h, ok := tr.(interface{ HangUp() }); ok {
		h.HangUp() // a join may be waiting for a mute peer
	}
	wg.Wait()

	err = g.leave(list)
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	w.drain()
	g.log.Info("left the cluster")
	return err
}

// transport opens the sockets. It returns nil if ctx ended while it waited for the address.
func (g *Gossip) transport(ctx context.Context) (memberlist.NodeAwareTransport, error) {
	if g.cfg.Transport != nil {
		return g.cfg.Transport, nil
	}
	said := false
	for {
		s, err := openSockets(ctx, g.cfg.Bind, g.cfg.Peers, g.memberlistLog())
		if err == nil {
			return s, nil
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("gossip: %w: another process has it (a second tandem?); stop that or change cluster.bind", err)
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("gossip: %w", err)
		}
		if !said {
			said = true
			g.log.Warn("waiting for an address", "addr", g.cfg.Bind.Addr(), "err", err,
				"hint", "cluster.bind must be an address of this host; gossip starts as soon as it is there")
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(bindRetry):
		}
	}
}

// listConfig is memberlist's configuration: what is not set here is DefaultLANConfig's.
func (g *Gossip) listConfig(tr memberlist.Transport) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = g.cfg.Node
	c.Label = g.cfg.Name
	c.SecretKey = g.key
	c.Transport = tr
	// Both are always set: with an unset one memberlist picks an address itself, which may be a VIP left behind.
	c.BindAddr, c.BindPort = g.cfg.Bind.Addr().String(), int(g.cfg.Bind.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort

	// Nothing waits for these: beats and the peer stream tell who is gone, this is the third opinion. A dead node is lost after 0.6 to 1.1 s, and news take
	// 0.2 s. A probe wakes goroutines eight times; with probes every 100 ms and gossip every 50 an idle node took 0.8 % of a core more.
	c.ProbeInterval, c.ProbeTimeout = 200*time.Millisecond, 80*time.Millisecond
	c.SuspicionMult = 2
	c.GossipInterval = 200 * time.Millisecond
	c.TCPTimeout = streamBudget
	c.AwarenessMaxMultiplier = 1 // or a node that was alone for a while would notice the next death late
	c.PushPullInterval = fullSync
	c.DeadNodeReclaimTime = nameReclaim
	c.EnableCompression = false // messages are small

	cb := callbacks{g}
	c.Delegate, c.Events, c.Alive, c.Conflict, c.Ping = cb, cb, cb, cb, cb
	c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = codecVersion, codecVersion, codecVersion
	c.Logger = g.memberlistLog()
	return c
}

func (g *Gossip) memberlistLog() *stdlog.Logger { return stdlog.New(lineWriter{g}, "", 0) }

// keepJoined joins one configured peer whenever it is missing: memberlist by itself would not look for it again.
func (g *Gossip) keepJoined(ctx context.Context, list *memberlist.Memberlist, peer netip.AddrPort) {
	t := time.NewTicker(g.cfg.Rejoin)
	defer t.Stop()
	told := false
	for {
		g.mu.Lock()
		there := g.table.present(peer)
		g.mu.Unlock()
		switch {
		case there:
			told = false
		case !told:
			told = true
			g.tell(event{kind: joining, addr: peer})
			fallthrough
		default:
			// An address, not a name: Join must not wait for a resolver.
			if _, err := list.Join([]string{peer.String()}); err != nil && ctx.Err() == nil {
				g.tell(event{kind: joinFailed, addr: peer, reason: err.Error()})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// publishMeta hands changed metadata to memberlist, which takes its time.
func (g *Gossip) publishMeta(ctx context.Context, list *memberlist.Memberlist) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.publish:
		}
		if err := list.UpdateNode(updateWait); err != nil {
			g.log.Debug("metadata not yet sent", "err", err) // it goes out with the next message or full sync
		}
	}
}

// sayToAll sends a message to all other members, and reports whether there is one.
func (g *Gossip) sayToAll(list *memberlist.Memberlist, message []byte) (others bool) {
	for _, m := range g.Snapshot() {
		if m.State != Alive && m.State != Suspect {
			continue
		}
		others = true
		// Not memberlist's own: it changes its nodes while it sends to them.
		to := &memberlist.Node{Name: m.Name, Addr: m.Addr.Addr().AsSlice(), Port: m.Addr.Port(), PMax: memberlist.ProtocolVersionMax}
		if err := list.SendBestEffort(to, message); err != nil {
			g.log.Debug("goodbye not sent", "peer", m.Name, "err", err)
		}
	}
	return others
}

// leave says goodbye and closes everything.
func (g *Gossip) leave(list *memberlist.Memberlist) error {
	g.mu.Lock()
	bye := byeMessage(g.cfg.Node, g.meta.Boot)
	g.mu.Unlock()
	for range 2 { // datagrams: one may be lost
		if !g.sayToAll(list, bye) {
			break
		}
		time.Sleep(byeLead)
	}
	if err := list.Leave(leaveWait); err != nil {
		g.log.Debug("leave not confirmed", "err", err) // the goodbye, or the probes, will tell the others
	}
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}
