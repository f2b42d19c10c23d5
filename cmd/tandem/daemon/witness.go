package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
)

// assembleWitness makes the parts of a node that only votes: gossip, beats, streams and the loop, which decides that it never holds.
func assembleWitness(w World, cfg *configs.Config, version Version, log hclog.Logger) (*daemon, error) {
	c, err := newCommon(w, cfg, version, 0, log)
	if err != nil {
		return nil, err
	}
	var node *cluster.Node
	votes := votesConfig(cfg)
	beats := c.pulse(w, cfg, votes)
	beats.Tick = func(now time.Time) bool { return node.Alive(now) }
	pls, err := pulse.New(beats, log.Named("pulse"))
	if err != nil {
		return nil, err
	}
	opts := c.options(w, cfg, pls, log)
	opts.VIP, opts.Traffic, opts.Votes, opts.Set = noVIP{}, noTraffic{}, pls, votes.Set.Hash
	opts.Fitness = func() cluster.Fitness { return cluster.Fitness{Fit: true} } // and yet it never leads
	node = cluster.New(opts)
	rel := &reloader{read: w.Read, warned: w.Warned, node: node, log: log}
	rel.keep(cfg)
	rep := &reporter{cfg: cfg, now: &rel.now, hash: &rel.hash, version: version, boot: c.boot, started: time.Now(), node: node, gossip: c.gossip, pulse: pls}
	adm := admin.New(cfg.Admin.Socket, rep.witness, log.Named("admin"))
	adm.Follow(orders{node, rel})
	adm.Explains((&explainer{node: node, policy: func() election.Policy { return policy(rel.now.Load()) }, book: c.journal}).explain)
	d := &daemon{cfg: &rel.now, log: log}
	d.parts.node = node
	d.parts.list = []part{
		{"admin", runAdmin(w, adm, log.Named("admin"))},
		{"journal", c.journal.Run},
		{"gossip", onPort(cfg.Cluster.Bind.Port(), c.gossip.Run)},
		{"byhand", c.shareByHand},
		{"peer", onPort(next(cfg.Cluster.Bind).Port(), c.streams.Run)},
		{"pulse", onPort(next(cfg.Cluster.Bind).Port(), pls.Run)},
		{"cluster", node.Run},
		{"reload", rel.follow(w.Again)},
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
		Priority: r.now.Load().Cluster.Priority,
	}
	if n.Leaving {
		s.State = api.Leaving
	}
	s.Peers = r.peers(n, now)
	s.Quorum = quorumOf(n, s.Peers)
	s.Leader, s.LeaderSince = r.leader(n)
	s.Warnings = append(r.apart(n, s).warnings(), votesWarnings(n, s.Quorum)...)
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
