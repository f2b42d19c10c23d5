package daemon

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/notify"
)

func newNotifier(w World, cfg *configs.Config, boot uint64, log hclog.Logger) *notify.Notifier {
	return notify.New(notify.Config{
		Node: cfg.Node, Boot: fmt.Sprintf("%016x", boot), VIPs: vips(cfg), Hooks: cfg.Notify, Run: w.Command,
	}, log)
}

// vips are the virtual addresses without their lengths, separated by spaces.
func vips(cfg *configs.Config) string {
	s := ""
	for _, p := range cfg.VIP.All() {
		if s != "" {
			s += " "
		}
		s += p.Addr().String()
	}
	return s
}

// became says what a node is, in the words of notify. What it is only for a moment (settling, claiming, handing over, leaving) is no event.
func became(n cluster.Status) notify.State {
	s := notify.State{Since: n.Since, Term: n.Term, Reason: sentence(n), Code: string(n.Reason), Peer: n.About}
	switch stateOfNode(n) {
	case api.Leader:
		s.Event, s.Leader = notify.Leader, n.Node
		if n.Rival != "" {
			s.Event, s.Peer = notify.Dual, n.Rival
		}
		return s
	case api.Standby:
		s.Event = notify.Standby
	case api.Unfit:
		s.Event = notify.Unfit
		if n.Fitness.Why != "" {
			s.Reason += ": " + n.Fitness.Why
		}
	case api.InMaintenance:
		s.Event = notify.Maintenance
	case api.Claiming, api.Handing, api.Settling, api.Leaving:
	}
	for _, p := range n.Peers {
		if p.State == cluster.PeerAlive && p.Holds {
			s.Leader = p.Name
		}
	}
	return s
}
