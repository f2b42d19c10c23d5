package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/mirror"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/vip"
)

// reporter puts the snapshots of the parts into one status.
type reporter struct {
	cfg     *configs.Config                 // of the start: for what a reload cannot change
	now     *atomic.Pointer[configs.Config] // of now
	version Version
	boot    uint64
	hash    *atomic.Uint64
	started time.Time
	node    *cluster.Node
	keeper  *vip.Keeper
	proxy   *proxy.Proxy
	pools   *pool.Set
	checker *health.Checker
	gossip  *gossip.Gossip
	pulse   *pulse.Pulse
	mirror  *mirror.Mirror // nil: not wanted
	fit     *fitJudge
}

func (r *reporter) status() api.Status {
	now := time.Now()
	n, v := r.node.Status(), r.keeper.State()
	s := api.Status{
		At: now, Node: r.cfg.Node, Version: string(r.version), Boot: fmt.Sprintf("%016x", r.boot), PID: os.Getpid(), Started: r.started,
		State: stateOfNode(n), Since: n.Since, Reason: sentence(n), ReasonCode: string(n.Reason), Term: n.Term,
		Rank: n.Fitness.Rank + n.Fitness.Slow, Reach: n.Fitness.Reach, Unfitness: n.Fitness.Why, Priority: r.now.Load().Cluster.Priority, Gate: v.Gate,
		Maintenance: n.Maintenance, ByHand: n.ByHand, Doing: n.Doing,
	}
	s.Peers = r.peers(n, now)
	s.Leader, s.LeaderSince = r.leader(n)
	for _, l := range r.cfg.VIP.Links() {
		for _, a := range l.Addresses {
			vs := api.VIP{Address: a.String(), Interface: l.Interface, Held: v.Holds, Since: v.Since}
			if v.Err != nil {
				vs.Problem = v.Err.Error()
			}
			s.VIPs = append(s.VIPs, vs)
		}
	}
	s.Listeners, s.Pools, s.Tracked = r.listeners(), r.poolStates(), r.tracked()
	for i := len(n.Failover) - 1; i >= 0; i-- {
		s.Failovers = append(s.Failovers, move(n.Failover[i]))
	}
	s.Quorum = quorumOf(n, s.Peers)
	s.Warnings = append(r.warnings(n, v, s), votesWarnings(n, s.Quorum)...)
	s.Complete()
	return s
}

func stateOfNode(n cluster.Status) api.State {
	switch {
	case n.Leaving && !n.Hold:
		return api.Leaving
	case n.Hold && n.Reason == election.ReasonHanding:
		return api.Handing
	case n.Holds:
		return api.Leader
	case n.Hold:
		return api.Claiming
	case n.Maintenance:
		return api.InMaintenance
	case n.Link != "" || !n.Fitness.Fit:
		return api.Unfit
	case !n.Settled:
		return api.Settling
	}
	return api.Standby
}

func sentence(n cluster.Status) string {
	s := n.Reason.String()
	if n.About != "" {
		s += " (" + n.About + ")"
	}
	switch {
	case n.Link != "":
		s += ": " + n.Link
	case n.Reason == election.ReasonUnfit && n.Fitness.Why != "":
		s += ": " + n.Fitness.Why
	}
	return s
}

// leader names who holds, as far as this node knows.
func (r *reporter) leader(n cluster.Status) (string, time.Time) {
	if n.Holds {
		return n.Node, n.Since
	}
	for _, p := range n.Peers {
		if p.State == cluster.PeerAlive && p.Holds {
			return p.Name, p.HeldSince
		}
	}
	return "", time.Time{}
}

func (r *reporter) peers(n cluster.Status, now time.Time) []api.Peer {
	members := map[string]gossip.Member{}
	for _, m := range r.gossip.Snapshot() {
		members[m.Name] = m
	}
	var out []api.Peer
	heard := map[netip.AddrPort]bool{}
	beats := r.pulse.Snapshot()
	for _, p := range n.Peers {
		m := members[p.Name]
		a := api.Peer{
			Name: p.Name, State: api.PeerState(p.State), LastHeardMS: -1, MirroredMS: -1, Holds: p.Holds, Fit: p.Fit,
			Maintenance: p.Maintenance, ByHand: p.ByHand, Rank: p.Rank, Term: p.Term,
			HearsUs: p.HearsMe, Priority: p.Priority, Version: m.Meta.Version,
			Witness: p.Witness, ConfigDiffers: m.Meta.ConfigHash != 0 && m.Meta.ConfigHash != r.hash.Load(),
		}
		for _, mac := range m.Meta.MACs {
			a.MACs = append(a.MACs, mac.String())
		}
		if m.Addr.IsValid() {
			a.Address = m.Addr.String()
			heard[m.Addr] = true
		}
		if !p.HeardAt.IsZero() {
			a.LastHeardMS = float64(now.Sub(p.HeardAt).Microseconds()) / 1000
		}
		if b, ok := beats[p.Name]; ok {
			a.Paths = paths(r.cfg, b, now)
			if !b.MirroredAt.IsZero() {
				a.MirroredMS = msOf(now.Sub(b.MirroredAt))
			}
		}
		out = append(out, a)
	}
	for _, c := range r.cfg.Cluster.Peers {
		if !heard[c] && len(out) < len(r.cfg.Cluster.Peers) {
			out = append(out, api.Peer{Address: c.String(), State: api.PeerUnknown, LastHeardMS: -1, MirroredMS: -1})
		}
	}
	return out
}

func (r *reporter) listeners() []api.Listener {
	var out []api.Listener
	for _, l := range r.proxy.Snapshot() {
		a := api.Listener{
			Name: l.Name, Bind: l.Bind.String(), Protocol: string(l.Protocol), Pool: l.Pool, Open: l.Open,
			Active: int64(l.Active), Accepted: l.Accepted,
		}
		a.Error = l.Error
		out = append(out, a)
	}
	return out
}

func (r *reporter) poolStates() []api.Pool {
	pools := map[string]pool.Status{}
	backends := map[[2]string]pool.BackendStatus{}
	for _, p := range r.pools.Snapshot() {
		pools[p.Name] = p
		for _, b := range p.Backends {
			backends[[2]string{p.Name, b.Name}] = b
		}
	}
	var out []api.Pool
	at := map[string]int{}
	for _, h := range r.checker.Snapshot() {
		i, ok := at[h.Pool]
		if !ok {
			i = len(out)
			at[h.Pool] = i
			p := pools[h.Pool]
			out = append(out, api.Pool{Name: h.Pool, Balance: string(p.Balance), Forced: p.Forced, Waiting: p.Waiting})
		}
		b := backends[[2]string{h.Pool, h.Backend}]
		if b.Unused {
			continue
		}
		out[i].Backends = append(out[i].Backends, api.Backend{
			Name: h.Backend, Address: whereabouts(h, b), State: api.BackendState(h.State), Since: h.Since, Reason: h.Reason,
			ProbeMS: float64(h.Took.Microseconds()) / 1000, Active: b.Active, Max: b.MaxConns, Backup: b.Backup,
			Weight: b.Weight, ByHand: handOf(b.Order), Total: b.Total, Failures: b.Failures, Ejected: b.Ejected,
		})
	}
	return out
}

// whereabouts is where a backend is probed, or the name by which it has not been found yet.
func whereabouts(h health.Status, b pool.BackendStatus) string {
	if h.Address.IsValid() || b.Host == "" {
		return h.Address.String()
	}
	return b.Host
}

func move(m journal.Move) api.Failover {
	return api.Failover{
		At: m.At, Kind: api.MoveKind(m.Kind), From: m.From, To: m.To, Why: m.Reason.String(), Term: m.Term, Cause: m.Cause, Noticed: m.Noticed,
		Steps: m.Steps, Blackout: m.Blackout, Nobody: m.Nobody, Dual: m.Dual, TookMS: float64(m.Took.Max.Microseconds()) / 1000,
	}
}

// warnings are what an operator should know although the node works.
func (r *reporter) warnings(n cluster.Status, v vip.State, s api.Status) []string {
	var w []string
	if v.Gate != "nftables" {
		w = append(w, "no nftables: a daemon that hangs is silenced only after "+r.cfg.VIP.Lease.String()+" ("+v.Gate+")")
	}
	if r.cfg.Cluster.Insecure {
		w = append(w, "insecure: anyone who reaches the cluster's ports can take the VIP; set cluster.key_file")
	}
	w = append(w, r.apart(n, s).warnings()...)
	w = append(w, r.brokenPaths(s.Peers)...)
	standby := false
	for _, p := range s.Peers {
		standby = standby || (p.State == api.PeerAlive && p.Fit)
		if p.ConfigDiffers {
			w = append(w, "the configuration of "+p.Name+" differs in what must be equal on all nodes (VIPs, listeners, pools, failover, lease)")
		}
	}
	for _, t := range s.Tracked {
		if t.State == api.Failing {
			w = append(w, t.Kind+" "+t.Name+" fails since "+t.Since.Format(time.TimeOnly)+": "+t.Reason)
		}
	}
	maintained := ""
	for _, p := range s.Peers {
		if p.State == api.PeerAlive && p.Maintenance {
			maintained += p.Name + " is in maintenance; "
		}
	}
	switch {
	case n.Holds && !standby:
		w = append(w, maintained+"no standby: if this node fails, nobody takes over")
	case n.Maintenance && s.Leader == "":
		w = append(w, "NOBODY LEADS, and this node is in maintenance: tandem maintenance off lets it")
	case n.Maintenance:
		w = append(w, "in maintenance: this node does not lead, whatever happens, until tandem maintenance off")
	}
	for _, l := range s.Listeners {
		if !l.Open && l.Error != "" {
			w = append(w, "listener "+l.Name+" is not open: "+l.Error)
		}
	}
	for _, x := range v.Sightings {
		w = append(w, x.Addr.String()+" was claimed by "+x.MAC.String()+" at "+x.At.Format(time.TimeOnly))
	}
	if v.Readded > 0 {
		w = append(w, "the VIP was removed by somebody else and put back "+strconv.Itoa(v.Readded)+" times")
	}
	for _, x := range v.Strangers {
		w = append(w, fmt.Sprintf("the nftables table %s %s is not this node's and silences %s on this host: if no other tandem runs here, remove it: %s", x.Family, x.Table, addresses(x.VIPs), x.Command()))
	}
	for _, x := range v.Strays {
		who := "nobody answers"
		if x.MAC != nil {
			who = x.MAC.String() + ", which is not " + x.Leader + "'s, answers"
		}
		w = append(w, who+" for "+x.Addr.String()+" since "+x.Since.Format(time.TimeOnly)+", although "+x.Leader+" says that it leads")
	}
	return w
}
