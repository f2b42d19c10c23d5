package cluster

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
)

// inputs are the words of the newest decision: about the node itself, and about its first peer.
func (j *entries) inputs(t *testing.T) (self, peer []string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.list) {
		if d := e.Decision; d != nil && len(d.Inputs.Peers) > 0 {
			return d.Inputs.Self.Is, d.Inputs.Peers[0].Is
		}
	}
	t.Fatal("no decision with a peer was recorded")
	return nil, nil
}

func wantWords(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: %q, want %q among them", what, got, w)
		}
	}
}

func TestDecisionsTellByWhatWayAPeerIsHeard(t *testing.T) {
	watchedPair(t, func(w *world, _ map[string]*log, journals map[string]*entries) {
		_, peer := journals["lb2"].inputs(t)
		for _, word := range peer {
			if strings.Contains(word, "path") || strings.Contains(word, "mirror") || strings.Contains(word, "vote") {
				t.Errorf("a pair with one path that works: %q", peer)
			}
		}
		begin := time.Now()
		carry := func(f func(p *pulse.Peer, now time.Time)) {
			w.mu.Lock()
			w.carry = func(_, to *host, p *pulse.Peer) {
				if to.name == "lb2" {
					f(p, time.Now())
				}
			}
			w.mu.Unlock()
			w.run(500 * time.Millisecond)
		}
		carry(func(p *pulse.Peer, now time.Time) {
			p.Paths = []pulse.PathState{{HeardAt: begin, DeafFor: time.Minute}, {HeardAt: now}}
		})
		_, peer = journals["lb2"].inputs(t)
		wantWords(t, "one path of two is cut", peer, "heard", "not heard on path 1", "does not hear this node on path 1")
		if n := len(peer); slices.Contains(peer, "not heard on path 2") || slices.Contains(peer, "heard only by mirrors") {
			t.Errorf("%d words with what is not so: %q", n, peer)
		}
		carry(func(p *pulse.Peer, now time.Time) {
			p.Paths, p.MirroredAt = []pulse.PathState{{HeardAt: begin, DeafFor: -1}}, now
		})
		_, peer = journals["lb2"].inputs(t)
		wantWords(t, "the only path is cut", peer, "heard", "heard only by mirrors")
		why := strings.Join(w.hosts["lb2"].node.Status().Why(w.hosts["lb2"].node.Policy, time.Now()), "\n")
		if !strings.Contains(why, "heard only by mirrors") {
			t.Errorf("the explanation does not tell of mirrors:\n%s", why)
		}
		carry(func(*pulse.Peer, time.Time) {}) // as before: other tests' ends count on it
	})
}

// fixedVotes are votes that somebody else has counted.
type fixedVotes struct {
	granted  time.Time
	granting uint64
}

func (v fixedVotes) Granted() time.Time { return v.granted }
func (v fixedVotes) Granting() uint64   { return v.granting }
func (fixedVotes) Hurry()               {}

func TestDecisionsTellOfVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const set = 77
		boots := map[string]uint64{"lb1": 1, "lb2": 2}
		w := newWorld(t, "lb1", "lb2")
		journals := map[string]*entries{"lb1": {}, "lb2": {}}
		w.options = func(o *Options) {
			o.Policy.Quorum, o.Policy.Voters, o.Boot, o.Set = true, 3, boots[o.Policy.Name], set
			v := fixedVotes{granting: 1} // all vote for lb1
			if o.Policy.Name == "lb1" {
				v.granted = time.Now().Add(time.Hour)
			}
			o.Votes, o.Journal = v, journals[o.Policy.Name]
		}
		w.carry = func(from, _ *host, p *pulse.Peer) {
			p.Beat.Node, p.Beat.Boot, p.Beat.Vote.Set, p.Beat.Vote.To = from.name, boots[from.name], set, 1
		}
		w.start("lb1")
		w.start("lb2")
		w.run(3 * time.Second)
		wantHolder(t, w, "lb1")
		self, peer := journals["lb1"].inputs(t)
		wantWords(t, "the leader", self, "has the votes of a majority", "votes for itself")
		wantWords(t, "its standby", peer, "votes for this node")
		self, peer = journals["lb2"].inputs(t)
		wantWords(t, "the standby", self, "votes for another")
		wantWords(t, "its leader", peer, "votes for another")
		const want = "Votes: lb2 for lb1, lb1 for lb1; of 3 voters 2 are in touch, and 2 must agree."
		if why := w.hosts["lb2"].node.Status().Why(w.hosts["lb2"].node.Policy, time.Now()); !slices.Contains(why, want) {
			t.Errorf("why = %q, want %q among it", why, want)
		}
		before := [2]int{journals["lb1"].count(), journals["lb2"].count()}
		w.run(5 * time.Second)
		if after := [2]int{journals["lb1"].count(), journals["lb2"].count()}; after != before {
			t.Errorf("five quiet seconds with votes: from %d entries to %d", before, after)
		}
		w.stop()
		time.Sleep(time.Second)
	})
}

// TestAWitnessSaysNothingOfAVIPThatItHasNotSeenHeld: its cluster has just not started yet.
func TestAWitnessSaysNothingOfAVIPThatItHasNotSeenHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "lb1", "lb2")
		said := &log{}
		w.hosts["lb2"].log = logTo(said)
		w.options = func(o *Options) {
			if o.Policy.Name == "lb2" {
				o.Policy.Witness, o.VIPs = true, ""
			}
		}
		w.start("lb2")
		w.run(5 * time.Second)
		if lines := said.lines("[WARN]", "[ERROR]"); len(lines) > 0 {
			t.Errorf("a witness alone says %q", lines)
		}
		w.start("lb1")
		w.run(3 * time.Second)
		wantHolder(t, w, "lb1")
		w.kill("lb1")
		w.run(3 * time.Second)
		lines := said.lines("nobody holds the VIP")
		if len(lines) != 1 || strings.Contains(lines[0], "vip=") {
			t.Errorf("the only node that may lead died, and the witness says %q", lines)
		}
		w.stop()
		time.Sleep(time.Second)
	})
}
