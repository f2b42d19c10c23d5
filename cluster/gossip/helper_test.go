package gossip

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/gossip/gossiptest"
)

var (
	addr1 = netip.MustParseAddrPort("10.0.0.11:7946")
	addr2 = netip.MustParseAddrPort("10.0.0.12:7946")
	addr3 = netip.MustParseAddrPort("10.0.0.13:7946")
	key1  = bytes.Repeat([]byte{1}, 32)
	key2  = bytes.Repeat([]byte{2}, 32)
)

// record keeps what was logged.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// find returns the lines with this level and message and with a value that contains each part.
func (r *record) find(level, msg string, parts ...string) []map[string]any {
	var out []map[string]any
next:
	for l := range strings.Lines(r.text()) {
		var m map[string]any
		if json.Unmarshal([]byte(l), &m) != nil || m["@level"] != level || m["@message"] != msg {
			continue
		}
		for _, p := range parts {
			if !strings.Contains(fmt.Sprint(m), p) {
				continue next
			}
		}
		out = append(out, m)
	}
	return out
}

// node is one gossiping node under test.
type node struct {
	*Gossip
	t    *testing.T
	log  *record
	stop context.CancelFunc
	wg   sync.WaitGroup
	err  error
}

func (n *node) leave() {
	n.stop()
	n.wg.Wait()
	if n.err != nil {
		n.t.Errorf("%s: Run: %v", n.cfg.Node, n.err)
	}
}

// want fails unless a line was logged exactly count times.
func (n *node) want(count int, level, msg string, parts ...string) {
	n.t.Helper()
	if got := n.log.find(level, msg, parts...); len(got) != count {
		n.t.Errorf("%s logged %s %q %q %d times, want %d; the log:\n%s", n.cfg.Node, level, msg, parts, len(got), count, n.log.text())
	}
}

func (n *node) state(name string) State {
	for _, m := range n.Snapshot() {
		if m.Name == name {
			return m.State
		}
	}
	return ""
}

func (n *node) wantState(name string, want State) {
	n.t.Helper()
	if got := n.state(name); got != want {
		n.t.Errorf("%s sees %s as %q, want %q; the log:\n%s", n.cfg.Node, name, got, want, n.log.text())
	}
}

// start runs a node on the network. The caller ends it with leave.
func start(t *testing.T, net *gossiptest.Network, cfg Config, meta Meta) *node {
	t.Helper()
	if net != nil {
		cfg.Transport = net.Transport(cfg.Bind)
	}
	n := &node{t: t, log: &record{}}
	g, err := New(cfg, hclog.New(&hclog.LoggerOptions{Output: n.log, JSONFormat: true, Level: hclog.Debug}))
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	g.SetMeta(meta)
	ctx, stop := context.WithCancel(t.Context())
	n.stop = stop
	n.wg.Go(func() { n.err = g.Run(ctx) })
	if net != nil {
		t.Cleanup(func() { pass(2 * time.Second) }) // memberlist's last probe and dial run out; a bubble must end empty
	}
	return n
}

func conf(name string, bind netip.AddrPort, peers ...netip.AddrPort) Config {
	return Config{Node: name, Bind: bind, Peers: peers, Key: key1}
}

func pass(d time.Duration) { time.Sleep(d) } // fake time
