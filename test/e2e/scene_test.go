package e2e

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

const (
	// step is the time between the observer's questions. One question may meet both nodes in the middle of a move.
	step = 5 * time.Millisecond
	// every is the time between the client's requests.
	every = 10 * time.Millisecond
	// before is how much of the time before a fault belongs to what was seen of it: the last success and the holder before.
	before = 200 * time.Millisecond
	// patience bounds each wait for something that must come.
	patience = 20 * time.Second
)

// scene is a pair with a client and an observer watching, and what a story needs to tell it.
type scene struct {
	*lab.Pair
	t       *try
	load    *lab.Client
	load6   *lab.Client // nil without IPv6
	leader  *lab.Node   // when the story began
	standby *lab.Node
	built   time.Time
	from    time.Time // when the story began: the fault
	logs    map[*lab.Node]int64
}

// build makes a scene in which nothing runs yet but those who watch.
func build(t *try, c lab.PairConfig) *scene {
	t.Helper()
	c.Binary, c.Every = binary(), step
	s := &scene{t: t, logs: map[*lab.Node]int64{}, built: time.Now()}
	var err error
	s.Pair, err = lab.NewPair(lab.ForTest(t), c)
	s.must(err)
	t.Cleanup(func() { // before the lab ends
		s.measure()
		s.sound()
		s.tell()
	})
	s.load, err = s.Load(every)
	s.must(err)
	if s.VIP6.IsValid() {
		s.load6, err = s.Client.Client(netip.AddrPortFrom(s.VIP6, lab.PortHTTP), every)
		s.must(err)
	}
	s.from = time.Now()
	return s
}

// start makes a scene with both nodes running, one of them leading, the client served.
func start(t *try, c lab.PairConfig) *scene {
	t.Helper()
	s := build(t, c)
	for i := range s.Nodes {
		s.must(s.StartNode(i))
	}
	s.ready()
	s.begin()
	return s
}

// ready waits until both nodes say that they are a leader and its standby, all backends are up and the client is served.
func (s *scene) ready() {
	s.t.Helper()
	s.until("leader and standby know each other", func() bool {
		states := map[api.State]int{}
		for _, n := range s.Nodes {
			st, err := api.Dial(n.Socket()).Status(s.t.Context())
			if err != nil || !s.knows(st) {
				return false
			}
			states[st.State]++
		}
		return states[api.Leader] == 1 && states[api.Leader]+states[api.Standby]+states[api.Witness] == len(s.Nodes)
	})
	s.served()
	leader, err := s.WaitLeader(s.soon())
	s.must(err)
	s.leader, s.standby = leader, s.Other(leader)
}

// knows says whether a node hears all its peers, is heard by them, and has all its backends.
func (s *scene) knows(st api.Status) bool {
	apart := func(p api.Peer) bool { return p.State != api.PeerAlive || !p.HearsUs }
	if len(st.Peers) != len(s.Nodes)-1 || slices.ContainsFunc(st.Peers, apart) {
		return false
	}
	return !slices.ContainsFunc(st.Pools, func(p api.Pool) bool {
		return slices.ContainsFunc(p.Backends, func(b api.Backend) bool { return b.State != "up" })
	})
}

// begin marks the beginning of a story: what is seen and logged counts from here.
func (s *scene) begin() {
	s.t.Helper()
	for _, n := range s.Nodes {
		s.logs[n] = logSize(n)
	}
	s.from = time.Now()
}

// seen sums up what the client and the observer saw since a little before the story began, until now. It waits for the requests under way.
func (s *scene) seen() (lab.Report, lab.View) {
	s.t.Helper()
	from, to := s.from.Add(-before), time.Now()
	s.pass(lab.Patience + 50*time.Millisecond)
	r, v := s.load.Report(from, to), s.Watch.View(from, to)
	s.t.Logf("client: %s", r)
	s.t.Logf("observer: %s", v)
	return r, v
}

// takenOver waits until the node alone answers and the client is served again.
func (s *scene) takenOver(by *lab.Node) {
	s.t.Helper()
	_, err := s.WaitLeader(s.soon(), by)
	s.must(err)
	s.served()
}

// served waits until the client has got an answer to every request for a while.
func (s *scene) served() {
	s.t.Helper()
	s.must(s.WaitServed(s.soon(), s.load, 500*time.Millisecond))
	if s.load6 != nil {
		s.must(s.WaitServed(s.soon(), s.load6, 500*time.Millisecond))
	}
}

// moved asserts that the VIP went from the leader to the standby, once and for good, that the client missed it for at most blackout, and that
// two held it for at most dual. A client that was late itself is allowed for.
func (s *scene) moved(r lab.Report, v lab.View, blackout, dual time.Duration) {
	s.t.Helper()
	if limit := blackout + 2*r.Late; r.Blackout > limit {
		s.t.Errorf("the client got no answer for %v, at most %v is allowed", r.Blackout, limit)
	}
	if v.Dual.Total > dual {
		s.t.Errorf("two nodes answered for %v, at most %v is allowed", v.Dual.Total, dual)
	}
	if got, want := moves(v), []string{s.leader.Name(), s.standby.Name()}; !slices.Equal(got, want) {
		s.t.Errorf("the VIP was at %v, want %v: one move", got, want)
	}
}

// stayed asserts that nobody but the leader answered for the VIP, and that at most failed requests failed.
func (s *scene) stayed(r lab.Report, v lab.View, failed int) {
	s.t.Helper()
	if got, want := v.Holders(), []string{s.leader.Name()}; !slices.Equal(got, want) {
		s.t.Errorf("%v answered for the VIP, want only %v", got, want)
	}
	if r.Failed > failed {
		s.t.Errorf("%d requests failed, at most %d are allowed", r.Failed, failed)
	}
}

// moves lists those who held alone, each time anew.
func moves(v lab.View) []string {
	var list []string
	for _, c := range v.Changes {
		if len(c.Who) == 1 && (len(list) == 0 || list[len(list)-1] != c.Who[0]) {
			list = append(list, c.Who[0])
		}
	}
	return list
}

// status asks a node what it knows.
func (s *scene) status(n *lab.Node) api.Status {
	s.t.Helper()
	st, err := api.Dial(n.Socket()).Status(s.t.Context())
	s.must(err)
	return st
}

// until waits for something that can only be asked for.
func (s *scene) until(what string, ok func() bool) {
	s.t.Helper()
	for ctx := s.soon(); !ok(); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			s.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// pass lets time pass.
func (s *scene) pass(d time.Duration) {
	s.t.Helper()
	select {
	case <-time.After(d):
	case <-s.t.Context().Done():
		s.t.Fatal("the test was ended")
	}
}

// soon is a context for something that must come.
func (s *scene) soon() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fault returns the fault that was made, or ends the test.
func (s *scene) fault(f *lab.Fault, err error) *lab.Fault {
	s.t.Helper()
	s.must(err)
	return f
}
