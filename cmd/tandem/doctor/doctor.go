package doctor

import (
	"net/netip"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
)

// Verdict says how bad a finding is.
type Verdict string

// The verdicts.
const (
	OK    Verdict = "ok"
	Note  Verdict = "note"  // worth knowing; a failover works
	Wrong Verdict = "wrong" // a failover may not work, or the VIP may be lost
)

// Finding is one thing that was looked at.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	About   string  `json:"about"`
	What    string  `json:"what"`
	Do      string  `json:"do,omitempty"` // unless it is OK
}

// Facts are what was found out about a host. Who may not know a fact, for want of privileges, gives the error.
type Facts struct {
	File     string
	Config   *configs.Config
	Warnings []configs.Warning
	Daemon   *api.Status // nil: DaemonErr says why
	// DaemonErr is why the daemon does not answer.
	DaemonErr error
	Links     []Link // those of the VIPs, then that of cluster.bind if it is another one
	Peers     []Peer
	Files     uint64 // descriptors that the daemon may have; 0: not known
	Nftables  error
	Caps      error // of the daemon
	Clock     error // nil: synchronised
}

// Link is an interface.
type Link struct {
	Name     string
	Err      error // it cannot be looked at
	Up       bool  // administratively, and with a carrier
	MTU      int
	Sysctl   map[string]int // by the last part of its name, as it counts for this link
	VIPs     []netip.Prefix
	Own      []netip.Prefix // what else is on it
	Networkd *Networkd      // nil: systemd-networkd does not manage it
	Manager  bool           // NetworkManager manages it
	// Answers are the MACs of others that answered for each VIP; AskErr is why nobody was asked.
	Answers map[netip.Addr][]string
	AskErr  error
}

// Networkd is what systemd-networkd does with a link.
type Networkd struct {
	File string // the .network file
	Keep string // KeepConfiguration=
}

// Peer is what came of connecting to a peer.
type Peer struct {
	Address     netip.AddrPort
	Gossip      error // TCP to cluster.bind of the peer
	Stream      error // TCP to the next port
	MTU, OurMTU int   // what its TCP offers for the way to us, and what our link has; 0: not known
}

// Examine judges the facts. It is pure.
func Examine(f Facts) []Finding {
	var all []Finding
	for _, check := range []func(Facts) []Finding{file, daemon, privileges, gate, files, clock, links, managers, claims, peers} {
		all = append(all, check(f)...)
	}
	return all
}

// Sick reports whether something is wrong.
func Sick(all []Finding) bool {
	for _, f := range all {
		if f.Verdict == Wrong {
			return true
		}
	}
	return false
}

func one(v Verdict, about, what, do string) []Finding { return []Finding{{v, about, what, do}} }
