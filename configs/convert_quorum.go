package configs

import "github.com/tandem-lb/tandem/cluster"

// modes reads quorum and witness.
func (c *checker) modes(f *fileCluster, cfg *cluster.Config) {
	cfg.Quorum, cfg.Witness = c.flag(f.Quorum), c.flag(f.Witness)
	voters := len(cfg.Peers) + 1
	unread := f.Peers.bad || !f.Peers.set || len(f.Peers.items) != len(cfg.Peers) // and told
	switch {
	case cfg.Witness && !cfg.Quorum:
		c.bad(f.Witness.place, "true wants quorum: true, on all nodes: without it nobody asks for this node's vote")
	case !cfg.Quorum || unread:
	case voters < 3:
		c.bad(f.Quorum.place, "true wants at least 3 voters, and this node and its peers are %d: no majority would be left when one fails; add a node, or a witness (witness: true), to cluster.peers", voters)
	case voters%2 == 0:
		c.warn(f.Quorum.place, "%d voters survive no more failures than %d: an odd number is better", voters, voters-1)
	}
	if cfg.Witness && cfg.Preempt {
		c.warn(f.Preempt.place, "has no effect on a witness, which never leads")
	}
}

// witness refuses what a witness does not have.
func (c *checker) witness(f *fileConfig) {
	for _, s := range []struct {
		key string
		b   *block
	}{{"vip", &f.VIP.block}, {"listeners", &f.Listeners.block}, {"pools", &f.Pools.block}, {"notify", &f.Notify.block}} {
		if s.b.set {
			c.bad(s.b.place, "a witness has no %s: it only votes; remove the section, or cluster.witness", s.key)
		}
	}
}
