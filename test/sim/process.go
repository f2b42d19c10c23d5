package sim

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
	"github.com/tandem-lb/tandem/cmd/tandem/daemon"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip"
)

// process is one run of a daemon.
type process struct {
	host   *host
	dead   atomic.Bool // nothing that it does has an effect any more
	told   atomic.Bool // to stop
	cancel context.CancelFunc
	ended  chan struct{} // closed when RunOn has returned
	err    error         // of RunOn; valid when ended is closed
	dir    string        // its run_dir and state_dir are below
	thaw   atomic.Int64  // paused until then, in ns since 1970
	beats  *beats

	mu      sync.Mutex // guards conns
	conns   map[*conn]struct{}
	closers []func() // guarded by host.mu
}

// left is how long the process stays paused; await blocks until it is not.
func (p *process) left() time.Duration { return time.Duration(p.thaw.Load() - time.Now().UnixNano()) }

func (p *process) await() {
	for {
		d := p.left()
		if d <= 0 || p.dead.Load() {
			return
		}
		time.Sleep(d)
	}
}

// own makes c end with the process; false: it has ended already.
func (p *process) own(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead.Load() {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// start runs a daemon on the host, with the files that the one before has left.
func (h *host) start(ctx context.Context, cfg *configs.Config, dir string, logger func(*process) hclog.Logger) (*process, error) {
	c := *cfg
	p := &process{host: h, ended: make(chan struct{}), dir: dir, conns: map[*conn]struct{}{}}
	c.RunDir, c.StateDir = filepath.Join(dir, "run"), filepath.Join(dir, "state")
	if old := h.running(); old != nil {
		for _, sub := range []string{"run", "state"} {
			if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(filepath.Join(old.dir, sub))); err != nil && !os.IsNotExist(err) {
				return nil, err
			}
		}
	}
	own := h.station.addr
	beatsAt := netip.AddrPortFrom(own, c.Cluster.Bind.Port()+1)
	p.beats = newBeats(p, beatsAt)
	admin, err := h.listen(p, netip.AddrPortFrom(own, adminPort))
	if err != nil {
		return nil, err
	}
	w := daemon.World{
		VIP:         func(vip.Config, hclog.Logger) (vip.System, error) { return kernel{h.sys(), p}, nil },
		Gossip:      newGossip(p, c.Cluster.Bind),
		Beats:       p.beats,
		Mirror:      p.mirror,
		ListenPeers: func(context.Context) (net.Listener, error) { return h.listen(p, beatsAt) },
		DialPeer:    p.dial,
		Listen:      func(_ context.Context, a netip.AddrPort) (net.Listener, error) { return h.listen(p, a) },
		Dial:        p.dial,
		Admin:       admin,
		Feed:        p.await,
	}
	ctx, p.cancel = context.WithCancel(ctx)
	h.mu.Lock()
	h.process = p
	h.mu.Unlock()
	go func() {
		defer close(p.ended)
		p.err = daemon.RunOn(ctx, w, &c, "sim", logger(p))
		h.seg.changed()
	}()
	return p, nil
}

// adminPort is where the API of a daemon is reached.
const adminPort = 9900

// dial connects from the host's own address.
func (p *process) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	p.await()
	h := p.host
	dest := h.seg.at(to.Addr())
	if h.vip == to.Addr() {
		dest = h.station // a listener of its own
	}
	return h.seg.dial(ctx, p, h.station, dest, netip.AddrPortFrom(h.station.addr, 40000), to, nil)
}

// kill ends the process as SIGKILL does: from now on it has no effect. Its kernel closes its connections, and goes on.
func (p *process) kill() {
	h := p.host
	h.mu.Lock()
	p.dead.Store(true)
	closers := p.closers
	p.closers = nil
	clear(h.taps)
	h.mu.Unlock()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, f := range closers {
		f()
	}
	for c := range conns {
		_ = c.CloseWrite() // has ended already
		c.mu.Lock()
		if c.inErr == nil {
			c.inErr = errKilled
		}
		c.signal()
		c.mu.Unlock()
	}
	p.cancel()
	h.seg.changed()
}

// pause stops the process for d, as SIGSTOP and SIGCONT do.
func (p *process) pause(d time.Duration) {
	p.thaw.Store(time.Now().Add(d).UnixNano())
	p.beats.Freeze(d)
	p.host.seg.changed()
	time.AfterFunc(d, p.host.seg.changed)
}

// paused says whether the process stands still.
func (p *process) paused() bool { return p.left() > 0 }

// beats is the pulse's socket: pulsetest's port, with the segment as its network.
type beats struct {
	*pulsetest.Port
	p    *process
	addr netip.AddrPort
}

var _ pulse.Transport = (*beats)(nil)

func newBeats(p *process, a netip.AddrPort) *beats {
	n := &pulsetest.Net{}
	b := &beats{n.Join(a), p, a}
	p.host.seg.bind(a, func(data []byte, from netip.AddrPort) { n.Inject(data, from, a) })
	return b
}

// Write is in pulse.Transport.
func (b *beats) Write(data []byte, _ int, to netip.AddrPort) error {
	if !b.p.dead.Load() {
		b.p.host.seg.datagram(b.addr, to, data)
	}
	return nil
}

// gossip is memberlist's transport.
type gossip struct {
	p       *process
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup
	once    sync.Once
	l       net.Listener
}

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

func newGossip(p *process, a netip.AddrPort) *gossip {
	g := &gossip{p: p, addr: a, packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn)}
	g.ctx, g.stop = context.WithCancel(context.Background())
	p.host.seg.bind(a, func(data []byte, from netip.AddrPort) {
		if p.paused() || p.dead.Load() {
			return
		}
		select {
		case g.packets <- &memberlist.Packet{Buf: data, From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}:
		default: // a full socket buffer
		}
	})
	g.l, _ = p.host.listen(p, a) // a new process: nobody has it
	g.wg.Go(g.accept)
	return g
}

func (g *gossip) accept() {
	for {
		c, err := g.l.Accept()
		if err != nil {
			return
		}
		select {
		case g.streams <- c:
		case <-g.ctx.Done():
			_ = c.Close()
		}
	}
}

// FinalAdvertiseAddr is in memberlist.Transport.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.addr.Addr().AsSlice(), int(g.addr.Port()), nil
}

// WriteTo is in memberlist.Transport.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err == nil && !g.p.dead.Load() && !g.p.paused() {
		g.p.host.seg.datagram(g.addr, to, b)
	}
	return time.Now(), err
}

// WriteToAddress is in memberlist.NodeAwareTransport.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

// PacketCh is in memberlist.Transport.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh is in memberlist.Transport.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// DialTimeout is in memberlist.Transport.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	return g.p.dial(ctx, to)
}

// DialAddressTimeout is in memberlist.NodeAwareTransport.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(a.Addr, timeout)
}

// IngestPacket and IngestStream are not used.
func (g *gossip) IngestPacket(net.Conn, net.Addr, time.Time, bool) error { return nil }

// IngestStream is in memberlist.NodeAwareTransport.
func (g *gossip) IngestStream(net.Conn) error { return nil }

// HangUp ends dials that wait.
func (g *gossip) HangUp() { g.stop() }

// Shutdown is in memberlist.Transport.
func (g *gossip) Shutdown() error {
	g.once.Do(func() {
		g.stop()
		if g.l != nil {
			_ = g.l.Close()
		}
		g.wg.Wait()
	})
	return nil
}
