package e2e

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// cutOff tells the story of a leader that is cut off from everybody, and comes back.
func cutOff(t *try, how func(*lab.Lab, *lab.Host) (*lab.Fault, error)) *scene {
	s := start(t, lab.PairConfig{})
	f := s.fault(how(s.Lab, s.leader.Host))
	s.takenOver(s.standby)
	healed := time.Now()
	s.must(f.Heal())
	s.pass(2 * time.Second)
	r, v := s.seen()
	s.moved(r, v, time.Second, 200*time.Millisecond)
	if r := s.load.Report(healed.Add(time.Second), time.Now().Add(-lab.Patience)); r.Failed > 0 {
		t.Errorf("requests failed a second after the heal: %s", r)
	}
	s.says(s.standby, "peer silent", "peer="+s.leader.Name(), "held=true")
	s.says(s.standby, "took over", "from="+s.leader.Name())
	s.says(s.leader, "no longer holds")
	s.ready() // the old leader is a standby now
	return s
}

func TestStandbyTakesOverWhenThePlugIsPulledAtTheSwitch(t *testing.T) {
	story(t, func(t *try) {
		s := cutOff(t, (*lab.Lab).PullAtSwitch)
		s.says(s.standby, "link down")
		s.says(s.standby, "link up")
	})
}

func TestStandbyTakesOverWhenThePlugIsPulledAtTheHost(t *testing.T) {
	story(t, func(t *try) {
		s := cutOff(t, (*lab.Lab).PullAtHost)
		s.says(s.standby, "link down")
		s.says(s.standby, "link up")
	})
}

func TestStandbyTakesOverWhenTheLeaderIsCutOffSilently(t *testing.T) {
	story(t, func(t *try) {
		s := cutOff(t, (*lab.Lab).SilentCut)
		s.silent(s.standby, "link down")
	})
}

func TestFilteredIPBetweenTheNodesMovesNothing(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{Edit: noMirrors}) // with them the peer is heard
		f := s.fault(s.FilterIP(s.leader.Host, s.standby.Host))
		s.pass(10 * time.Second)
		s.must(f.Heal())
		s.pass(time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.says(s.standby, "peer silent", "peer="+s.leader.Name(), "held=true")
		s.says(s.standby, "decided", "hold=false", "about="+s.leader.Name())
		s.says(s.standby, "peer heard", "peer="+s.leader.Name())
		s.silent(s.standby, "claimed")
	})
}

func TestTwoHoldersBecomeOneAtTheHealAndNoClientIsLeftBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(*scene) (*lab.Fault, error)
		edit func(*lab.Node, string) string
	}{
		{"no frame between the nodes", func(s *scene) (*lab.Fault, error) { return s.CutBetween(s.leader.Host, s.standby.Host) }, noMirrors},
		{"two halves with clients in both", func(s *scene) (*lab.Fault, error) {
			return s.Partition(append([]*lab.Host{s.leader.Host, s.Backends[0].Host}, s.Quiet[:2]...),
				append([]*lab.Host{s.standby.Host, s.Backends[1].Host, s.Gateway}, s.Quiet[2:]...))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) { split(t, c.edit, c.cut) })
		})
	}
}

// split tells the story of two holders, which meet again, and of clients that never ask who has the VIP.
func split(t *try, edit func(*lab.Node, string) string, how func(*scene) (*lab.Fault, error)) {
	s := start(t, lab.PairConfig{Quiet: 4, Edit: edit})
	var quiet []*lab.Client
	for _, h := range s.Quiet {
		s.must(h.KeepNeighbours(s.VIP))
		c, err := h.Client(netip.AddrPortFrom(s.VIP, lab.PortHTTP), 2*every)
		s.must(err)
		quiet = append(quiet, c)
	}
	s.begin()
	f := s.fault(how(s))
	s.pass(4 * time.Second)
	healed := time.Now()
	s.must(f.Heal())
	s.pass(3 * time.Second)
	if _, v := s.seen(); v.Dual.Total < time.Second {
		t.Errorf("observer saw %s; with no frame between them both were to hold", v)
	}
	after := s.Watch.View(healed, time.Now())
	t.Logf("after the heal: %s", after)
	if after.Dual.Total > 200*time.Millisecond || after.None.Longest > 50*time.Millisecond {
		t.Errorf("after the heal the observer saw %s; two holders for at most 200 ms are allowed", after)
	}
	last := after.Changes[len(after.Changes)-1].Who
	for i, c := range quiet {
		name := s.Quiet[i].Name()
		if r := c.Report(healed.Add(time.Second), healed.Add(2*time.Second)); r.Failed > 0 || r.Attempts == 0 {
			t.Errorf("a second after the heal %s saw %s", name, r)
		}
		if believed, err := s.Quiet[i].Neighbour(s.VIP); err != nil || !slices.Equal(last, []string{believed}) {
			t.Errorf("%s believes in %q (%v), and %v holds", name, believed, err, last)
		}
	}
	for _, n := range s.Nodes {
		s.says(n, "two nodes hold the VIP")
		s.says(n, "one node holds the VIP again")
	}
	s.ready()
}

func TestOneWayCutWithoutMirrorsMovesTheVIPOnceAtMost(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(*scene) (*lab.Fault, error)
	}{
		{"leader to standby", func(s *scene) (*lab.Fault, error) { return s.CutOneWay(s.leader.Host, s.standby.Host) }},
		{"standby to leader", func(s *scene) (*lab.Fault, error) { return s.CutOneWay(s.standby.Host, s.leader.Host) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(t *try) {
				s := start(t, lab.PairConfig{Edit: noMirrors})
				f := s.fault(c.cut(s))
				s.pass(3 * time.Second)
				s.must(f.Heal())
				s.pass(2 * time.Second)
				r, v := s.seen()
				if len(moves(v)) > 2 {
					t.Errorf("the VIP was at %v; at most one move is allowed", moves(v))
				}
				if v.Dual.Total > 100*time.Millisecond {
					t.Errorf("two nodes answered for %v", v.Dual.Total)
				}
				if limit := time.Second + 2*r.Late; r.Blackout > limit {
					t.Errorf("the client got no answer for %v, at most %v is allowed", r.Blackout, limit)
				}
				s.ready()
			})
		})
	}
}

func TestDeafStandbyMovesNothing(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		f := s.fault(s.Deafen(s.standby.Host))
		s.pass(4 * time.Second)
		s.must(f.Heal())
		s.pass(time.Second)
		r, v := s.seen()
		s.stayed(r, v, 0)
		for _, a := range s.Watch.Announcements(s.from, time.Now()) { // the observer's question does not reach a deaf node, its announcements come through
			if a.Who == s.standby.Name() {
				t.Errorf("the deaf standby announced the VIP after %v", a.At.Sub(s.from))
			}
		}
		s.silent(s.standby, "claimed")
		s.ready()
	})
}

func TestDeafLeaderLetsGo(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		f := s.fault(s.Deafen(s.leader.Host))
		s.takenOver(s.standby)
		s.pass(time.Second)
		s.must(f.Heal())
		s.pass(time.Second)
		r, v := s.seen()
		s.moved(r, v, time.Second, 0)
		s.says(s.leader, "decided", "hold=false", "this node hears nobody on the link")
		s.says(s.standby, "took over")
	})
}

func TestLeaderThatHeardNobodyForAWhileLeadsOnWithItsConnections(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		crowd, err := s.Crowd.Crowd(netip.AddrPortFrom(s.VIP, lab.PortTCP), 50)
		s.must(err)
		a, b := s.fault(s.SilentCut(s.leader.Host)), s.fault(s.SilentCut(s.standby.Host)) // as a switch that hangs
		s.pass(700 * time.Millisecond)
		s.must(errors.Join(a.Heal(), b.Heal()))
		_, err = s.WaitLeader(s.soon(), s.leader)
		s.must(err)
		s.served()
		if broken := crowd.Broken(); broken > 0 {
			t.Errorf("%d of %d connections were lost in a silence of the whole segment", broken, crowd.Len())
		}
	})
}
