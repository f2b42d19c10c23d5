package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestStatusSaysWhyNodesAreApart(t *testing.T) {
	now := time.Now()
	unknown := []api.Peer{{Address: "10.0.0.12:7946", State: api.PeerUnknown}}
	silent := []api.Peer{{Name: "lb2", Address: "10.0.0.12:7946", State: api.PeerSilent}}
	alive := []api.Peer{{Name: "lb2", Address: "10.0.0.12:7946", State: api.PeerAlive}}
	beats := netip.MustParseAddrPort("10.0.0.12:7947")
	for _, tt := range []struct {
		name string
		a    apart
		want string // a part of the only warning; empty: none
	}{
		{"not in cluster.peers", apart{started: now, peers: []api.Peer{{Name: "lb2", Address: "10.0.0.72:7946", State: api.PeerUnknown}}, reason: election.ReasonPathBroken, about: "lb2"},
			"lb2 has joined from 10.0.0.72:7946, which is not in cluster.peers"},
		{"not in cluster.peers, but heard", apart{peers: []api.Peer{{Name: "lb2", Address: "10.0.0.72:7946", State: api.PeerAlive}}}, ""},
		{"not in cluster.peers, and deaf for that", apart{peers: []api.Peer{{Name: "lb2", Address: "10.0.0.72:7946", State: api.PeerAlive}}, deafFor: map[string]time.Duration{"lb2": 2 * time.Second}},
			"lb2 has joined from 10.0.0.72:7946, which is not in cluster.peers"},
		{"not in the peer's cluster.peers", apart{started: now.Add(-11 * time.Second), peers: []api.Peer{{Name: "lb2", Address: "10.0.0.12:7946", State: api.PeerUnknown}}},
			"lb2 has joined from 10.0.0.12:7946 and sends no beats here: is 10.0.0.11:7946 in its cluster.peers?"},
		{"never heard, which may be an address", apart{started: now.Add(-11 * time.Second), peers: unknown}, "see that 10.0.0.11:7946 is in its cluster.peers and 10.0.0.12:7946 its cluster.bind"},
		{"just started", apart{started: now.Add(-9 * time.Second), peers: unknown}, ""},
		{"never heard", apart{started: now.Add(-11 * time.Second), peers: unknown}, "nothing is heard from 10.0.0.12: if it runs, let UDP and TCP 7946 and 7947 pass"},
		{"answers on the wire", apart{started: now, peers: unknown, reason: election.ReasonPathBroken}, "nothing is heard from 10.0.0.12"},
		{"silent, path broken", apart{started: now, peers: silent, reason: election.ReasonPathBroken, about: "lb2"}, "nothing is heard from lb2"},
		{"silent", apart{started: now.Add(-time.Hour), peers: silent}, ""},
		{"joined just now", apart{started: now.Add(-time.Hour), peers: []api.Peer{{Name: "lb2", State: api.PeerUnknown}},
			members: []gossip.Member{{Name: "lb2", Since: now.Add(-time.Second)}}}, ""},
		{"cause known", apart{started: now.Add(-time.Hour), peers: unknown, gossip: []gossip.Problem{{Addr: "10.0.0.12:7946", Text: "other key"}},
			pulse: []pulse.Problem{{Addr: beats, Text: "again"}}}, "other key"},
		{"cause known by beats", apart{started: now.Add(-time.Hour), peers: unknown, pulse: []pulse.Problem{{Addr: beats, Text: "its name"}}}, "its name"},
		{"deaf", apart{peers: alive, deafFor: map[string]time.Duration{"lb2": 2 * time.Second}}, "lb2 does not hear this node: is there a firewall on one of the two? Let UDP 7946 and 7947 pass"},
		{"deaf for a moment", apart{peers: alive, deafFor: map[string]time.Duration{"lb2": time.Second / 2}}, ""},
	} {
		tt.a.now, tt.a.bind = now, netip.MustParseAddrPort("10.0.0.11:7946")
		tt.a.configured = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.12:7946")}
		got := tt.a.warnings()
		if tt.want == "" && len(got) == 0 {
			continue
		}
		if tt.want == "" || len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: warnings %q, want %q", tt.name, got, tt.want)
		}
	}
}
