package gossip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/tandem-lb/tandem/cluster/gossip/gossiptest"
)

// The tests of the four causes run two real memberlists against each other: they also hold lines.go against memberlist's words.

// pair starts two nodes of which the second is spoilt, runs them for a while, and hands them over.
func pair(t *testing.T, spoil func(*Config, *Meta), judge func(net *gossiptest.Network, a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1, Version: "v1", Protocol: 1})
		cfg, meta := conf("lb2", addr2, addr1), Meta{Boot: 2, Version: "v1", Protocol: 1}
		spoil(&cfg, &meta)
		b := start(t, &net, cfg, meta)
		defer a.leave()
		defer b.leave()
		pass(10 * time.Second)
		judge(&net, a, b)
	})
}

// only checks that of all problems just this one was told.
func only(n *node, level, msg string, parts ...string) {
	n.t.Helper()
	for _, other := range []string{"cluster key differs", "cluster name differs", "node name is used twice",
		"version does not fit", "configuration differs", "tcp passes but udp does not"} {
		if other != msg {
			n.want(0, "error", other)
			n.want(0, "warn", other)
		}
	}
	n.want(1, level, msg, parts...)
}

func TestWrongKeyIsTold(t *testing.T) {
	pair(t, func(c *Config, _ *Meta) { c.Key = key2 }, func(net *gossiptest.Network, a, b *node) {
		only(a, "error", "cluster key differs", addr2.String(), "its key is another one", "key_file")
		only(b, "error", "cluster key differs", addr1.String(), "its key is another one")
		a.want(0, "info", "node joined")
		if p := a.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "10.0.0.12 has another key") {
			a.t.Errorf("problems: %+v", p)
		}

		pass(2 * time.Minute) // told again each minute
		a.want(3, "error", "cluster key differs")

		b.leave()
		good := start(a.t, net, conf("lb2", addr2, addr1), Meta{Boot: 3, Protocol: 1})
		defer good.leave()
		pass(time.Second)
		a.wantState("lb2", Alive)
		a.want(1, "info", "problem is over", addr2.String(), "cluster key")
		if p := a.Problems(); len(p) != 0 {
			a.t.Errorf("problems after their end: %+v", p)
		}
	})
}

func TestKeyOnOneSideOnlyIsTold(t *testing.T) {
	pair(t, func(c *Config, _ *Meta) { c.Key = nil }, func(_ *gossiptest.Network, a, b *node) {
		only(a, "error", "cluster key differs", addr2.String(), "it has no key, this node has one")
		only(b, "error", "cluster key differs", addr1.String(), "it has a key, this node has none")
	})
}

func TestWrongNameOfTheClusterIsTold(t *testing.T) {
	pair(t, func(c *Config, _ *Meta) { c.Name = "other" }, func(_ *gossiptest.Network, a, b *node) {
		only(a, "error", "cluster name differs", addr2.String(), `its cluster name is "other"`)
		only(b, "error", "cluster name differs", addr1.String(), `its cluster name is "tandem"`)

		b.leave()
		pass(time.Minute)
		a.want(1, "info", "problem is over", addr2.String(), "cluster name") // not seen for a while
	})
}

func TestNodeNameUsedTwiceIsTold(t *testing.T) {
	pair(t, func(c *Config, _ *Meta) { c.Node = "lb1" }, func(_ *gossiptest.Network, a, b *node) {
		only(a, "error", "node name is used twice", addr2.String(), "lb1 at 10.0.0.11:7946 and at 10.0.0.12:7946")
		only(b, "error", "node name is used twice", addr1.String(), "lb1 at 10.0.0.12:7946 and at 10.0.0.11:7946")
	})
}

func TestNodeNameOfTwoOthersIsTold(t *testing.T) {
	pair(t, func(*Config, *Meta) {}, func(net *gossiptest.Network, a, _ *node) {
		c := start(a.t, net, conf("lb2", addr3, addr1), Meta{Boot: 3, Protocol: 1})
		defer c.leave()
		pass(time.Second)
		a.want(1, "error", "node name is used twice", addr3.String())
		a.wantState("lb2", Alive)
	})
}

func TestOtherProtocolOfBeatsIsTold(t *testing.T) {
	pair(t, func(_ *Config, m *Meta) { m.Protocol, m.Version = 2, "v2" }, func(_ *gossiptest.Network, a, b *node) {
		only(a, "error", "version does not fit", addr2.String(), "it (v2) speaks protocol 2", "this node (v1) 1")
		only(b, "error", "version does not fit", addr1.String(), "it (v1) speaks protocol 1", "this node (v2) 2")
		a.wantState("lb2", Alive) // it is there, and both know it
		b.SetMeta(Meta{Boot: 2, Version: "v1", Protocol: 1})
		pass(time.Second)
		a.want(1, "info", "problem is over", addr2.String(), "version")
		b.want(1, "info", "problem is over", addr1.String(), "version")
	})
}

func TestOtherConfigurationIsTold(t *testing.T) {
	pair(t, func(_ *Config, m *Meta) { m.ConfigHash = 7 }, func(_ *gossiptest.Network, a, b *node) {
		a.want(0, "warn", "configuration differs") // lb1 has not said its hash
		a.SetMeta(Meta{Boot: 1, Version: "v1", Protocol: 1, ConfigHash: 8})
		pass(time.Second)
		only(a, "warn", "configuration differs", addr2.String(), "configuration 7 there, 8 here")
		only(b, "warn", "configuration differs", addr1.String(), "configuration 8 there, 7 here")
		a.SetMeta(Meta{Boot: 1, Version: "v1", Protocol: 1, ConfigHash: 7})
		pass(time.Second)
		a.want(1, "info", "problem is over", addr2.String(), "configuration")
	})
}

func TestEqualConfigurationAfterARestartIsTold(t *testing.T) {
	pair(t, func(_ *Config, m *Meta) { m.ConfigHash = 7 }, func(net *gossiptest.Network, a, b *node) {
		a.SetMeta(Meta{Boot: 1, Version: "v1", Protocol: 1, ConfigHash: 8})
		pass(time.Second)
		only(a, "warn", "configuration differs", "VIPs, listeners, pools, failover and lease")
		b.leave()
		pass(10 * time.Second)
		a.want(0, "info", "problem is over")
		b = start(a.t, net, conf("lb2", addr2, addr1), Meta{Boot: 3, Version: "v1", Protocol: 1, ConfigHash: 8})
		defer b.leave()
		pass(time.Second)
		a.want(1, "info", "problem is over", addr2.String(), "configuration")
		a.want(1, "info", "node joined", "0000000000000003")
	})
}

func TestStrangerIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1, Protocol: 1})
		defer a.leave()
		c := conf("lb3", addr3, addr1)
		c.Key = key2
		b := start(t, &net, c, Meta{Boot: 3, Protocol: 1})
		defer b.leave()
		pass(5 * time.Second)
		a.want(0, "error", "cluster key differs")
		a.want(1, "warn", "stranger with another key", "10.0.0.13")
		if p := a.Problems(); len(p) != 0 {
			t.Errorf("problems: %+v", p)
		}
	})
}

// stranger runs a bare memberlist beside one of our nodes, spoilt as wanted.
func stranger(t *testing.T, spoil func(*memberlist.Config), judge func(a *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1, Protocol: 1})
		defer a.leave()
		model, err := New(conf("lb2", addr2, addr1), hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		model.SetMeta(Meta{Boot: 2, Protocol: 1})
		c := model.listConfig(net.Transport(addr2))
		c.Alive = nil // it lets itself in, whatever it is called
		spoil(c)
		list, err := memberlist.Create(c)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := list.Shutdown(); err != nil {
				t.Error(err)
			}
		}()
		pass(5 * time.Second)
		judge(a)
	})
}

func TestOtherVersionOfGossipIsTold(t *testing.T) {
	stranger(t, func(c *memberlist.Config) {
		c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = 2, 2, 2
	}, func(a *node) {
		only(a, "error", "version does not fit", addr2.String(), "version", "2", "same version of tandem")
		a.want(0, "info", "node joined")
	})
}

// fixedMeta is a delegate that says always the same.
type fixedMeta struct {
	callbacks
	meta []byte
}

func (f fixedMeta) NodeMeta(int) []byte { return f.meta }

func TestUnreadableMetadataIsTold(t *testing.T) {
	for _, meta := range []string{"", "\x02something new", "\x01short", strings.Repeat("\xff", 512)} {
		stranger(t, func(c *memberlist.Config) { c.Delegate = fixedMeta{c.Delegate.(callbacks), []byte(meta)} }, func(a *node) {
			only(a, "error", "version does not fit", addr2.String(), "lb2", "metadata")
			a.want(0, "info", "node joined")
		})
	}
}

func TestHostileNameIsRefused(t *testing.T) {
	for _, name := range []string{"two words", "new\nline", "\x1b[2J", strings.Repeat("x", 65)} {
		stranger(t, func(c *memberlist.Config) { c.Name = name }, func(a *node) {
			only(a, "error", "version does not fit", "the name")
			if s := a.Snapshot(); len(s) != 0 {
				t.Errorf("members: %+v", s)
			}
		})
	}
}

func TestLostUDPIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		net.CutPackets(addr1, addr2, true)
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer a.leave()
		defer b.leave()
		pass(5 * time.Second)
		only(a, "warn", "tcp passes but udp does not", addr2.String(), "lb2")
		a.wantState("lb2", Alive)
		b.wantState("lb1", Alive)
		net.CutPackets(addr1, addr2, false)
		pass(20 * time.Second)
		a.want(1, "info", "problem is over", addr2.String(), "udp")
	})
}

func TestWhatIsNotYetKnownIsNoOtherVersion(t *testing.T) {
	// A node gossips a moment before it has been told what to say of itself.
	pair(t, func(_ *Config, m *Meta) { *m = Meta{} }, func(_ *gossiptest.Network, a, b *node) {
		pass(time.Second)
		a.wantState("lb2", Alive)
		a.want(0, "error", "version does not fit")
		b.want(0, "error", "version does not fit")
		b.SetMeta(Meta{Boot: 2, Version: "v2", Protocol: 2})
		pass(time.Second)
		a.want(1, "error", "version does not fit")
		b.want(1, "error", "version does not fit")
	})
}

func TestJoinThatFailedBeforeTheNodeCameIsNotTold(t *testing.T) {
	pair(t, func(*Config, *Meta) {}, func(_ *gossiptest.Network, a, _ *node) {
		a.tell(event{kind: joinFailed, addr: addr2, reason: "i/o timeout"})
		pass(time.Second)
		a.want(0, "warn", "could not join")
	})
}
