package daemon

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/quorum"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip"
)

var errNoGate = errors.New("cluster.quorum needs nftables: without it the kernel would keep this node's VIP for longer than its votes last; load nf_tables, or run in pair mode (quorum: false on all nodes)")

// votesConfig says how this node votes; nil without quorum.
func votesConfig(cfg *configs.Config) *pulse.Votes {
	if !cfg.Cluster.Quorum {
		return nil
	}
	f := cfg.Cluster.Failover
	// One failover is the ticket's, from before the question on, and one is that of the gate which the ticket opens.
	hold := 2 * f
	began := time.Now()
	return &pulse.Votes{
		Set:   quorum.NewSet(cfg.Cluster.Bind, cfg.Cluster.Peers, quorum.Lease(hold), hold),
		Lease: quorum.Lease(hold),
		Hold:  f - f/8,
		// It may stand still while the host is suspended: a vote is kept longer then, which is safe.
		Clock: func() time.Duration { return time.Since(began) },
	}
}

// byVotes has the keeper's gate depend on the votes.
func byVotes(v *pulse.Votes, keeper *vip.Keeper, alive func(time.Time) bool) error {
	if keeper.State().Gate != "nftables" {
		return errNoGate
	}
	v.Granted = keeper.Granted
	v.Turn = func(now time.Time, round, granted uint64, ask bool) quorum.Plea {
		if !alive(now) {
			return quorum.None
		}
		switch asks, free := keeper.Vote(round, granted, ask); {
		case asks:
			return quorum.Ask
		case free:
			return quorum.Free
		}
		return quorum.None
	}
	return nil
}

// quorumOf is what the status says of the votes; nil without quorum.
func quorumOf(n cluster.Status, peers []api.Peer) *api.Quorum {
	if n.Quorum.Voters == 0 {
		return nil
	}
	q := &api.Quorum{Voters: n.Quorum.Voters, Majority: n.Quorum.Voters/2 + 1, Heard: n.Quorum.Heard, Granted: n.Quorum.Granted, Missing: missing(n, peers)}
	for _, v := range n.Quorum.Votes {
		q.Votes = append(q.Votes, api.Vote{Voter: v.Voter, To: v.To})
	}
	return q
}

// missing names the voters that this node is not in touch with, by address if they have never said their name, each with what is wrong.
func missing(n cluster.Status, peers []api.Peer) []string {
	known := map[string]cluster.PeerStatus{}
	for _, p := range n.Peers {
		known[p.Name] = p
	}
	var list []string
	for _, p := range peers {
		who, why := p.Name, string(p.State)
		if who == "" {
			who = p.Address
		}
		q := known[p.Name]
		switch {
		case p.State == api.PeerUnknown:
			why = "never heard"
		case p.State != api.PeerAlive:
			if p.LastHeardMS >= 0 {
				why += ", last heard " + (time.Duration(p.LastHeardMS) * time.Millisecond).Round(time.Second/10).String() + " ago"
			}
		case !q.Votes:
			why = "runs in pair mode"
		case !q.Voter:
			why = "has other voters"
		case !p.HearsUs:
			why = "does not hear this node"
		default:
			continue
		}
		list = append(list, who+" ("+why+")")
	}
	return list
}

// votesWarnings are what an operator should know of the votes.
func votesWarnings(n cluster.Status, quorum *api.Quorum) []string {
	var w []string
	for _, p := range n.Peers {
		if p.Votes && !p.Voter {
			w = append(w, p.Name+" has other voters, so that neither counts the other's vote: make cluster.quorum, cluster.peers and cluster.failover agree")
		}
		if n.Quorum.Voters > 0 && !p.Votes && p.State == cluster.PeerAlive {
			w = append(w, p.Name+" runs in pair mode: until it has quorum: true, too, two nodes may hold")
		}
	}
	if q := quorum; q != nil && n.Settled {
		count := fmt.Sprintf("%d of %d voters are in touch, and %d are needed; missing: %s", q.Heard, q.Voters, q.Majority, strings.Join(q.Missing, ", "))
		switch {
		case q.Heard < q.Majority:
			w = append(w, "no quorum: "+count)
		case q.Heard == q.Majority && q.Voters > 2 && q.Heard < q.Voters:
			w = append(w, "no voter can be spared: "+count)
		}
	}
	return w
}
