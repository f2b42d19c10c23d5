package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip/announce"
)

// world is a segment with nodes, clients, a gateway and backends. It lives in one bubble.
type world struct {
	t       testing.TB
	seed    uint64
	dice    *rand.Rand
	seg     *Segment
	judge   *judge
	all     []*node // the nodes
	gateway *host
	rest    []*host // gateway and backends
	clients []*client
	log     io.Writer // of the daemons and the segment
	level   hclog.Level
	mirrors string // cluster.mirrors
	setup
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	began time.Time
	dir   string
}

const vipPort = 80

func virtual() netip.Addr { return netip.MustParseAddr("10.0.0.10") }

func number(base, i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(base + i)}) }

func hardware(kind, i int) announce.MAC { return announce.MAC{2, 0, 0, 0, byte(kind), byte(i + 1)} }

// setup is what nodes there are.
type setup struct {
	nodes  int
	quorum bool // in quorum mode; the last node is a witness
}

// newWorld makes a segment with nodes; nothing runs on them yet.
func newWorld(t testing.TB, seed uint64, what setup, dir string, log io.Writer, level hclog.Level) *world {
	w := &world{t: t, seed: seed, setup: what, level: level, dice: rand.New(rand.NewPCG(seed, 1)), seg: newSegment(seed), log: log, began: time.Now(), dir: dir} //nolint:gosec // dice
	w.mirrors = []string{"auto", "\"off\""}[seed%2]
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.seg.trace = w.trace
	w.judge = &judge{strict: what.quorum, port: netip.AddrPortFrom(virtual(), vipPort), trace: w.trace}
	for i := range what.nodes {
		n := &node{w: w, name: fmt.Sprintf("lb%d", i+1)}
		n.host = newHost(w.seg, n.name, hardware(1, i), number(11, i), virtual())
		n.witness = what.quorum && i == what.nodes-1
		n.cfg = n.config()
		w.all = append(w.all, n)
		w.judge.hosts = append(w.judge.hosts, n.host)
	}
	w.gateway = newHost(w.seg, "gateway", hardware(2, 0), number(1, 0), netip.Addr{})
	w.rest = []*host{w.gateway, w.backend(0), w.backend(1)}
	for i, c := range []*client{
		{every: 20 * time.Millisecond},
		{every: 3 * time.Second},
		{every: 100 * time.Millisecond, silent: true},
		{every: 40 * time.Second},
		{every: 500 * time.Millisecond, forgets: true},
	} {
		c.entry.reachable = reachable/2 + time.Duration(w.dice.Int64N(int64(reachable)))
		c.plugIn(w.seg, fmt.Sprintf("c%d", i+1), hardware(3, i), number(100, i), virtual())
		w.clients = append(w.clients, c)
	}
	if w.dice.IntN(2) == 0 {
		w.seg.noise = noise{loss: 0.02 * w.dice.Float64(), twice: 0.02, late: 0.1, jitter: time.Duration(w.dice.Int64N(int64(2 * time.Millisecond)))}
	}
	w.judge.clients = w.clients
	w.seg.changed = w.judge.look
	for _, n := range w.all {
		w.follow(n.host)
	}
	return w
}

// follow tells the judge of changes of a host's addresses.
func (w *world) follow(h *host) {
	k := h.sys()
	w.wg.Go(func() { _ = watchKernel(w.ctx, k, w.seg) })
}

func (n *node) config() *configs.Config {
	var peers []string
	for i := range n.w.nodes {
		if a := number(11, i); a != n.station.addr {
			peers = append(peers, a.String()+":7946")
		}
	}
	text := fmt.Sprintf(`
node: %s
cluster: {bind: "%s:7946", peers: [%s], insecure: true, mirrors: %s, quorum: %v, witness: %v}
`, n.name, n.station.addr, strings.Join(peers, ", "), n.w.mirrorsOf(n), n.w.quorum, n.witness)
	if !n.witness {
		text += fmt.Sprintf(`
vip: {interface: %s, addresses: [%s], gateway: 10.0.0.1}
listeners: [{name: web, bind: "%s:%d", protocol: tcp, pool: web}]
pools:
  - name: web
    health: {type: tcp, interval: 5s}
    backends: [{name: web1, address: "10.0.0.21:8080"}, {name: web2, address: "10.0.0.22:8080"}]
`, linkName, virtual(), virtual(), vipPort)
	}
	cfg, _, err := configs.Parse(n.name+".yaml", []byte(text), configs.Host{})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return cfg
}

// mirrorsOf is cluster.mirrors of a node; a witness has none.
func (w *world) mirrorsOf(n *node) string {
	if n.witness {
		return "auto"
	}
	return w.mirrors
}

// backend is a host that answers "pong" to whatever it is told.
func (w *world) backend(i int) *host {
	h := newHost(w.seg, fmt.Sprintf("web%d", i+1), hardware(4, i), number(21, i), netip.Addr{})
	p := &process{host: h, conns: map[*conn]struct{}{}}
	l, err := h.listen(p, netip.AddrPortFrom(h.station.addr, 8080))
	if err != nil {
		w.t.Fatal(err)
	}
	context.AfterFunc(w.ctx, func() { _ = l.Close() })
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { pong(c) })
		}
	})
	return h
}

func pong(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	var b [64]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
		_, _ = c.Write([]byte("pong"))
	}
}

// trace writes a line about the segment.
func (w *world) trace(format string, args ...any) {
	fmt.Fprintf(w.log, "%s == %s\n", w.clock().Format(clockFormat), fmt.Sprintf(format, args...))
}

// clock is the time since the world began, as the log shows it.
func (w *world) clock() time.Time { return time.Time{}.Add(time.Since(w.began)) }

const clockFormat = "04:05.0000"

// end stops everything and waits for it: what were left behind would keep the bubble from ending.
func (w *world) end() {
	w.judge.stop()
	for _, c := range w.clients {
		c.stop()
	}
	for _, n := range w.all {
		for _, p := range n.runs {
			p.cancel()
			<-p.ended
		}
		n.shut.Stop()
	}
	w.gateway.shut.Stop()
	w.stop()
	w.wg.Wait()
	time.Sleep(stray)
}

// stray is how long memberlist's timers and probes, which nobody can wait for, go on after its end. Then the clock stops: a goroutine that is still there
// makes the bubble panic.
const stray = 3 * time.Second
