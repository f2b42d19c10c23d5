package daemon

import (
	"fmt"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/byhand"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/state"
	"github.com/tandem-lb/tandem/configs"
)

// common is what every node is made of, a witness too.
type common struct {
	key     []byte
	kept    state.State
	boot    uint64
	meta    gossip.Meta
	gossip  *gossip.Gossip
	streams *peer.Streams
	journal *journal.Journal
	byHand  *byhand.Board
}

// newCommon makes these parts. The hash is what the node says of its configuration; 0: nothing.
func newCommon(w World, cfg *configs.Config, version Version, hash uint64, log hclog.Logger) (*common, error) {
	c := &common{boot: newBoot()}
	var err error
	if !cfg.Cluster.Insecure {
		if c.key, err = configs.ReadKey(cfg.Cluster.KeyFile); err != nil {
			return nil, err
		}
	}
	if c.kept, err = state.Load(cfg.StateDir); err != nil {
		log.Warn("going on without what was remembered from before", "err", err)
	}
	c.gossip, err = gossip.New(gossip.Config{
		Node: cfg.Node, Name: cfg.Cluster.Name, Bind: cfg.Cluster.Bind, Peers: cfg.Cluster.Peers, Key: c.key,
		Transport: w.Gossip,
	}, log.Named("gossip"))
	if err != nil {
		return nil, err
	}
	c.meta = gossip.Meta{Boot: c.boot, Version: string(version), Protocol: protocol, Priority: uint8(cfg.Cluster.Priority), ConfigHash: hash}
	c.gossip.SetMeta(c.meta) // before anybody can join: a boot id that came later would look like a restart
	if c.byHand, err = byhand.Load(cfg.StateDir, cfg.Node, log.Named("byhand")); err != nil {
		log.Warn("going on without what was set by hand before", "err", err)
	}
	c.streams, err = peer.New(peer.Config{
		Node: cfg.Node, Boot: c.boot, Bind: next(cfg.Cluster.Bind), Peers: nextAll(cfg.Cluster.Peers), Key: c.key,
		Cluster: cfg.Cluster.Name, Listen: w.ListenPeers, Dial: w.DialPeer, Paths: streamPaths(cfg), Share: c.byHand.Receive,
	}, log.Named("peer"))
	if err != nil {
		return nil, err
	}
	c.journal = journal.New(journal.Config{Boot: fmt.Sprintf("%016x", c.boot), Path: filepath.Join(cfg.StateDir, "journal")}, log.Named("journal"))
	return c, nil
}

// pulse is how a node beats that has no mirrors and renews nothing.
func (c *common) pulse(w World, cfg *configs.Config, votes *pulse.Votes) pulse.Config {
	return pulse.Config{
		Node: cfg.Node, Boot: c.boot, Bind: next(cfg.Cluster.Bind), Peers: nextAll(cfg.Cluster.Peers), Key: c.key,
		Cluster: cfg.Cluster.Name, Every: cfg.Cluster.Failover / beats, Failover: cfg.Cluster.Failover,
		Transport: w.Beats, Paths: beatPaths(cfg), Votes: votes,
	}
}

// options are those of a loop that has no VIP yet.
func (c *common) options(w World, cfg *configs.Config, pls *pulse.Pulse, log hclog.Logger) cluster.Options {
	return cluster.Options{
		Policy: policy(cfg), Boot: c.boot, Term: c.kept.Term, Expected: len(cfg.Cluster.Peers), Configured: texts(cfg.Cluster.Peers), MACs: c.kept.MACs, Meta: c.meta,
		Pulse: pls, Streams: c.streams, Gossip: c.gossip,
		Save: func(k cluster.Kept) error {
			return state.Save(cfg.StateDir, state.State{Term: k.Term, MACs: k.MACs, Maintenance: k.Maintenance})
		},
		Feed: w.feeder(log), Journal: c.journal,
		Log: log.Named("cluster"),
	}
}
