package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/mirror"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
)

func TestABrokenPathIsAWarningThatNamesTheDirection(t *testing.T) {
	ap := netip.MustParseAddrPort
	cfg := &configs.Config{Cluster: cluster.Config{
		Bind: ap("10.0.0.11:7946"), Peers: []netip.AddrPort{ap("10.0.0.12:7946")},
		Paths: []cluster.Path{{Bind: ap("192.168.9.1:7947"), Peers: []netip.AddrPort{ap("192.168.9.2:7947")}}},
	}}
	now := time.Now()
	fine := pulse.PathState{HeardAt: now.Add(-5 * time.Millisecond), DeafFor: 8 * time.Millisecond}
	deaf := pulse.PathState{HeardAt: now.Add(-3 * time.Second), DeafFor: 8 * time.Millisecond}
	mute := pulse.PathState{HeardAt: now.Add(-5 * time.Millisecond), DeafFor: time.Hour}
	dead := pulse.PathState{DeafFor: time.Hour}
	fresh := pulse.PathState{HeardAt: now, DeafFor: -1}
	silent := pulse.Peer{Addr: ap("10.0.0.12:7947"), HeardAt: deaf.HeardAt, Paths: []pulse.PathState{deaf, dead}}
	if got := paths(cfg, silent, now)[0].HeardByPeerMS; got != 3008 {
		t.Errorf("heard by a peer that was silent for 3 s %v ms ago, want 3008: its word is as old as its last beat", got)
	}
	r := &reporter{mirror: mirror.New(mirror.Config{}, hclog.NewNullLogger())}
	for _, c := range []struct {
		what   string
		states []pulse.PathState
		want   []string // a part of each warning
	}{
		{"all works", []pulse.PathState{fine, fine}, nil},
		{"just met", []pulse.PathState{fresh, fine}, nil},
		{"the cable is out", []pulse.PathState{fine, dead}, []string{"192.168.9.1:7947 to 192.168.9.2:7947 of lb2 is broken: nothing passes"}},
		{"deaf on the segment", []pulse.PathState{deaf, fine}, []string{"10.0.0.11:7947 to 10.0.0.12:7947 of lb2 is broken: nothing comes in"}},
		{"mute on the segment", []pulse.PathState{mute, fine}, []string{"nothing that is sent arrives"}},
		{"only mirrors", []pulse.PathState{dead, mute}, []string{"nothing passes", "nothing that is sent arrives", "no path to lb2 works: beats are carried by mirrors"}},
	} {
		p := pulse.Peer{Addr: ap("10.0.0.12:7947"), Paths: c.states}
		got := r.brokenPaths([]api.Peer{{Name: "lb2", State: api.PeerAlive, Paths: paths(cfg, p, now)}})
		if len(got) != len(c.want) {
			t.Errorf("%s: warnings %q, want %d", c.what, got, len(c.want))
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(got[i], w) {
				t.Errorf("%s: %q does not say %q", c.what, got[i], w)
			}
		}
		if silent := r.brokenPaths([]api.Peer{{Name: "lb2", State: api.PeerSilent, Paths: paths(cfg, p, now)}}); len(silent) > 0 {
			t.Errorf("%s: a silent peer's paths are not the news: %q", c.what, silent)
		}
	}
}
