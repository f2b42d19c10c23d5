package daemon

import (
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestMissingVotersAreNamed(t *testing.T) {
	voter := func(name string) cluster.PeerStatus {
		return cluster.PeerStatus{Peer: election.Peer{Name: name, Votes: true, Voter: true}, State: cluster.PeerAlive}
	}
	other, pair := voter("other"), voter("pair")
	other.Voter, pair.Votes, pair.Voter = false, false, false
	n := cluster.Status{
		Node: "lb1", Settled: true, Quorum: cluster.Quorum{Voters: 7, Heard: 2},
		Peers: []cluster.PeerStatus{voter("lb2"), voter("lb3"), voter("deaf"), other, pair},
	}
	peers := []api.Peer{
		{Name: "lb2", State: api.PeerAlive, HearsUs: true},
		{Name: "lb3", State: api.PeerSilent, LastHeardMS: 3210},
		{Name: "deaf", State: api.PeerAlive},
		{Name: "other", State: api.PeerAlive, HearsUs: true},
		{Name: "pair", State: api.PeerAlive, HearsUs: true},
		{Address: "10.0.0.14:7946", State: api.PeerUnknown, LastHeardMS: -1},
	}
	want := []string{"lb3 (silent, last heard 3.2s ago)", "deaf (does not hear this node)", "other (has other voters)", "pair (runs in pair mode)", "10.0.0.14:7946 (never heard)"}
	q := quorumOf(n, peers)
	if !slices.Equal(q.Missing, want) {
		t.Errorf("missing %q, want %q", q.Missing, want)
	}
	const said = "no quorum: 2 of 7 voters are in touch, and 4 are needed; missing: lb3 (silent"
	if w := votesWarnings(n, q); !slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, said) }) {
		t.Errorf("warnings %q, want one that begins %q", w, said)
	}
	n.Quorum.Heard = 4
	const spare = "no voter can be spared: 4 of 7 voters are in touch, and 4 are needed; missing: lb3"
	if w := votesWarnings(n, quorumOf(n, peers)); !slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, spare) }) {
		t.Errorf("warnings %q, want one that begins %q", w, spare)
	}
}
