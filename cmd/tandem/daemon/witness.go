package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/state"
	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
)

// assembleWitness makes the parts of a node that only votes: gossip, beats, streams and the loop, which decides that it never holds.
func assembleWitness(w World, cfg *configs.Config, version Version, log hclog.Logger) (*daemon, error) {
	var key []byte
	if !cfg.Cluster.Insecure {
		var err error
		if key, err = configs.ReadKey(cfg.Cluster.KeyFile); err != nil {
			return nil, err
		}
	}
	kept, err := state.Load(cfg.StateDir)
	if err != nil {
		log.Warn("going on without what was remembered from before", "err", err)
	}
	boot := newBoot()
	gsp, err := gossip.New(gossip.Config{
		Node: cfg.Node, Name: cfg.Cluster.Name, Bind: cfg.Cluster.Bind, Peers: cfg.Cluster.Peers, Key: key,
		Transport: w.Gossip,
	}, log.Named("gossip"))
	if err != nil {
		return nil, err
	}
	meta := gossip.Meta{Boot: boot, Version: string(version), Protocol: protocol, Priority: uint8(cfg.Cluster.Priority)}
	gsp.SetMeta(meta)
	var node *cluster.Node
	votes := votesConfig(cfg)
	pls, err := pulse.New(pulse.Config{
		Node: cfg.Node, Boot: boot, Bind: next(cfg.Cluster.Bind), Peers: nextAll(cfg.Cluster.Peers), Key: key,
		Cluster: cfg.Cluster.Name, Every: cfg.Cluster.Failover / 20, Failover: cfg.Cluster.Failover,
		Transport: w.Beats, Paths: beatPaths(cfg), Votes: votes,
		Tick: func(now time.Time) bool { return node.Alive(now) },
	}, log.Named("pulse"))
	if err != nil {
		return nil, err
	}
	streams, err := peer.New(peer.Config{
		Node: cfg.Node, Boot: boot, Bind: next(cfg.Cluster.Bind), Peers: nextAll(cfg.Cluster.Peers), Key: key,
		Cluster: cfg.Cluster.Name, Listen: w.ListenPeers, Dial: w.DialPeer, Paths: streamPaths(cfg),
	}, log.Named("peer"))
	if err != nil {
		return nil, err
	}
	jrn := journal.New(journal.Config{Boot: fmt.Sprintf("%016x", boot), Path: filepath.Join(cfg.StateDir, "journal")}, log.Named("journal"))
	node = cluster.New(cluster.Options{
		Policy: policy(cfg), Boot: boot, Term: kept.Term, Expected: len(cfg.Cluster.Peers), MACs: kept.MACs, Meta: meta,
		VIP: noVIP{}, Traffic: noTraffic{}, Pulse: pls, Streams: streams, Gossip: gsp, Votes: pls, Set: votes.Set.Hash,
		Fitness: func() cluster.Fitness { return cluster.Fitness{Fit: true} }, // and yet it never leads
		Save: func(k cluster.Kept) error {
			return state.Save(cfg.StateDir, state.State{Term: k.Term, MACs: k.MACs, Maintenance: k.Maintenance})
		},
		Feed: w.feeder(log), Journal: jrn,
		Log: log.Named("cluster"),
	})
	rep := &reporter{cfg: cfg, version: version, boot: boot, started: time.Now(), node: node, gossip: gsp, pulse: pls}
	adm := admin.New(cfg.Admin.Socket, rep.witness, log.Named("admin"))
	adm.Follow(orders{node})
	adm.Explains((&explainer{node: node, policy: policy(cfg), book: jrn}).explain)
	d := &daemon{cfg: cfg, log: log}
	d.parts.node = node
	d.parts.list = []part{
		{"admin", runAdmin(w, adm, log.Named("admin"))},
		{"journal", jrn.Run},
		{"gossip", onPort(cfg.Cluster.Bind.Port(), gsp.Run)},
		{"peer", onPort(next(cfg.Cluster.Bind).Port(), streams.Run)},
		{"pulse", onPort(next(cfg.Cluster.Bind).Port(), pls.Run)},
		{"cluster", node.Run},
	}
	return d, nil
}

// witness is the status of a witness.
func (r *reporter) witness() api.Status {
	now := time.Now()
	n := r.node.Status()
	s := api.Status{
		At: now, Node: r.cfg.Node, Version: string(r.version), Boot: fmt.Sprintf("%016x", r.boot), PID: os.Getpid(), Started: r.started,
		State: api.Witness, Since: n.Since, Reason: sentence(n), ReasonCode: string(n.Reason), Term: n.Term,
		Priority: r.cfg.Cluster.Priority, Quorum: quorumOf(n),
	}
	if n.Leaving {
		s.State = api.Leaving
	}
	s.Peers = r.peers(n, now)
	s.Leader, s.LeaderSince = r.leader(n)
	s.Warnings = append(r.apart(n, s).warnings(), votesWarnings(n)...)
	s.Complete()
	return s
}

// noVIP is what a witness has of VIPs.
type noVIP struct{}

var _ cluster.VIP = noVIP{}

func (noVIP) Want(cluster.Wish)        {}
func (noVIP) Facts() cluster.Facts     { return cluster.Facts{LinkUp: true} }
func (noVIP) Changed() <-chan struct{} { return nil }
func (noVIP) Confirm(context.Context, []net.HardwareAddr) (cluster.Verdict, error) {
	return cluster.NoAnswer, errNoListener
}
func (noVIP) Point([]net.HardwareAddr) error         { return errors.ErrUnsupported }
func (noVIP) Announce(string)                        {}
func (noVIP) SetPeers(map[string][]net.HardwareAddr) {}

// noTraffic is what a witness has of clients.
type noTraffic struct{}

var _ cluster.Traffic = noTraffic{}

func (noTraffic) Active() int      { return 0 }
func (noTraffic) Accepted() uint64 { return 0 }
func (noTraffic) Reset()           {}
func (noTraffic) SetClosing(bool)  {}
