package cluster

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
	"github.com/tandem-lb/tandem/cluster/journal"
	"github.com/tandem-lb/tandem/cluster/peer"
)

// Options are what a Node is made of.
type Options struct {
	Policy   election.Policy
	Boot     uint64
	Term     uint64 // the newest term known from before this start
	Expected int    // configured peers
	// Configured are their addresses, for those who are told that none has been heard.
	Configured []string
	// MACs are those of the peers' VIP links as known from before this start.
	MACs map[string][]net.HardwareAddr
	// Meta holds what this node tells by gossip and never changes: Boot, Version, Protocol, Priority, ConfigHash.
	Meta gossip.Meta

	VIP     VIP
	Traffic Traffic
	Pulse   Pulse
	Streams Streams
	Gossip  Gossip
	// Votes is where the votes are counted; nil without Policy.Quorum. Set is the hash of this node's voters.
	Votes Votes
	Set   uint64
	// Fitness is asked at every turn; FitnessChanged wakes the loop.
	Fitness        func() Fitness
	FitnessChanged <-chan struct{}
	// Maintenance: an operator said before this start that this node does not lead.
	Maintenance bool
	// Save keeps what must survive a restart. It may block; it runs apart from the loop.
	Save func(Kept) error
	// Journal keeps what is decided and noticed; nil: nobody does.
	Journal Journal
	// VIPs are the addresses, for the log.
	VIPs string
	// Tell is called at every turn of the loop with what the node is then; nil: nobody is told. It must not block.
	Tell func(Status)
	// Feed is called at every turn of the loop: the watchdog's food. It must not block.
	Feed func()
	Log  hclog.Logger
}

// Node runs the election: it looks at snapshots, decides, and tells the VIP what is wanted. Run is its only goroutine that decides.
type Node struct {
	Options
	log hclog.Logger

	turn   atomic.Int64 // when the loop last turned, nanoseconds since epoch
	epoch  time.Time
	status atomic.Pointer[Status]
	kept   chan keep   // one slot: what to save next
	stored chan stored // what came of it
	words  chan said
	tuned  chan Preference
	unsent chan unsent
	ended  chan struct{} // closed at the end of Run

	// The rest belongs to Run.
	started   time.Time
	wish      bool
	wishAt    time.Time
	term      uint64 // of the present or last claim
	newest    uint64
	lateAt    time.Time
	leaving   bool
	leaveBy   time.Time
	take      election.Take
	giving    election.Giving
	ready     bool // the peer that is to take over answers IP for the VIP
	readySent bool // to the leader that hands over
	going     bool // this node, handing over, has fallen silent on ARP and ND and said so
	released  bool // the leader that hands over has fallen silent
	rec       *recorder
	decided   election.Decision
	told      election.Decision // the newest that was logged
	peers     map[string]*watched
	macs      map[string][]net.HardwareAddr
	confirmed chan confirmation
	tasks     sync.WaitGroup
	served    served
	accepted  uint64    // clients, at the last turn
	clientAt  time.Time // when that number last rose
	fitness   Fitness   // at this turn
	held      bool      // the fact at the previous turn
	// fitnessTold is what was logged last: at first, that nothing is wrong.
	fitnessTold Fitness
	heldSince   time.Time
	claim       claim
	letGo       election.Reason // of the last decision to let go
	last        holder          // who held last
	clearAt     time.Time       // since when nobody answers on the wire; zero: somebody does, or nobody was asked
	readyAt     time.Time       // when Ready was sent, and Go heard, in the newest order to take over
	goAt        time.Time
	failovers   []journal.Move
	resetDone   chan struct{} // closed when the connections of a leader that let go have been reset
	resetBy     time.Time
	spare       context.CancelFunc // keeps them from being reset, if they have not been yet
	meeting     meeting
	vacant      vacancy
	voting      voting

	maintenance bool // an operator keeps this node from leading
	word        election.Word
	hearing     *said      // a word that was not judged yet
	op          *operation // the word that is being followed; nil: none
	wordID      uint64     // of the last word that was passed on
	saves       uint64     // of what was handed to saveLoop
}

// Kept is what survives a restart.
type Kept struct {
	Term        uint64
	MACs        map[string][]net.HardwareAddr
	Maintenance bool
}

// keep is a Kept on its way to the disk.
type keep struct {
	Kept
	seq uint64
}

// stored is what came of it.
type stored struct {
	seq uint64
	err error
}

var errSlowDisk = errors.New("the disk does not answer")

// New returns a Node; nothing runs until Run.
func New(o Options) *Node {
	n := &Node{
		Options: o, log: o.Log, epoch: time.Now(), newest: o.Term, term: o.Term,
		kept: make(chan keep, 1), confirmed: make(chan confirmation), stored: make(chan stored), words: make(chan said), tuned: make(chan Preference), unsent: make(chan unsent),
		ended: make(chan struct{}), maintenance: o.Maintenance,
		peers: map[string]*watched{}, fitnessTold: Fitness{Fit: true}, macs: map[string][]net.HardwareAddr{},
	}
	for name, m := range o.MACs {
		n.macs[name] = m
	}
	n.rec = newRecorder(o)
	n.status.Store(&Status{Node: o.Policy.Name})
	return n
}

// Alive reports whether the loop has turned within the silence budget. Beats and the gate's renewal depend on it:
// a daemon whose mind stands still must fall silent. It may be called from any goroutine.
func (n *Node) Alive(now time.Time) bool {
	return now.Sub(n.epoch)-time.Duration(n.turn.Load()) < n.Policy.Failover
}

// leaveWait bounds how long a node that leaves waits for the VIP to be gone; the keeper removes it at its own end in any case.
const leaveWait = 2 * time.Second

// breath is the longest that the loop sleeps: a small part of the silence budget, so that a loop that stands still is told from one that has nothing to do.
func (n *Node) breath() time.Duration { return max(n.Policy.Failover*3/20, 5*time.Millisecond) }

// Run turns the loop until ctx ends and the VIP has been handed over or released.
func (n *Node) Run(ctx context.Context) error {
	defer close(n.ended)
	defer n.tasks.Wait()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	n.tasks.Go(func() { n.saveLoop(work) })
	n.VIP.SetPeers(n.macs)
	n.started = time.Now()
	n.turn.Store(int64(n.started.Sub(n.epoch)))
	leave := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-leave:
			leave, n.leaving, n.leaveBy = nil, true, time.Now().Add(leaveWait)
			n.log.Info("leaving", "node", n.Policy.Name, "holds", n.held)
		case m := <-n.Streams.Inbox():
			n.hear(work, m)
		case c := <-n.confirmed:
			n.confirm(c)
		case s := <-n.words:
			n.say(s)
		case p := <-n.tuned:
			n.tune(p)
		case u := <-n.unsent:
			n.heardUnsent(u)
		case s := <-n.stored:
			n.saved(s)
		case <-n.Streams.Changed():
		case <-n.Pulse.Changed():
		case <-n.Gossip.Changed():
		case <-n.VIP.Changed():
		case <-n.FitnessChanged:
		case <-timer.C:
		}
		now := time.Now()
		n.watchSelf(now)
		d := n.step(work, now)
		n.turn.Store(int64(now.Sub(n.epoch)))
		if n.Feed != nil {
			n.Feed()
		}
		if n.leaving && !n.wish && (!n.up() || now.After(n.leaveBy)) {
			return nil
		}
		timer.Reset(n.sleep(d, time.Now()))
	}
}

// step is one turn: look, decide, act.
func (n *Node) step(ctx context.Context, now time.Time) election.Decision {
	v, facts := n.look(ctx, now)
	n.judge(ctx, v, facts, now)
	v.Self.Word, v.Self.Maintenance = n.word, n.maintenance
	d := election.Decide(n.Policy, v, now)
	n.act(ctx, v, facts, d, now)
	n.follow(facts, d, now)
	n.publish(v, facts, d, now)
	n.record(v, facts, d, now)
	return d
}

// up reports whether the VIP is still on the link, spoken for or not.
func (n *Node) up() bool {
	f := n.VIP.Facts()
	return f.Holds || f.Quiet
}

func (n *Node) sleep(d election.Decision, now time.Time) time.Duration {
	s := n.breath()
	if !d.Wake.IsZero() {
		s = min(s, max(d.Wake.Sub(now), 0))
	}
	if n.ready && !n.going {
		s = min(s, quietStep)
	}
	return max(s, 100*time.Microsecond)
}

// watchSelf notices that the loop itself was late: whoever slept longer than the others' patience must not believe what it remembers.
func (n *Node) watchSelf(now time.Time) {
	gap := now.Sub(n.epoch) - time.Duration(n.turn.Load())
	if gap <= n.Policy.Failover {
		return
	}
	n.lateAt = now
	n.log.Warn("was late", "slept", gap.Round(time.Millisecond), "allowed", n.Policy.Failover, "holds", n.held)
}

// saveLoop keeps the newest term and the peers' addresses; it lags behind on a slow disk, and then the peers' beats make up for it.
func (n *Node) saveLoop(ctx context.Context) {
	var failed bool
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-n.kept:
			err := n.Save(k.Kept)
			if err != nil && !failed {
				n.log.Warn("could not keep the term; a restart will learn it from the peers", "err", err)
			}
			failed = err != nil
			select {
			case n.stored <- stored{k.seq, err}:
			case <-ctx.Done():
			}
		}
	}
}

// save hands the newest state to saveLoop, replacing what it has not taken yet, and returns its number.
func (n *Node) save() uint64 {
	n.saves++
	if n.Save == nil {
		return n.saves
	}
	k := keep{Kept{n.newest, maps.Clone(n.macs), n.maintenance}, n.saves}
	select {
	case <-n.kept:
	default:
	}
	n.kept <- k
	return n.saves
}

// learn raises the newest term that this node knows.
func (n *Node) learn(term uint64) {
	if term > n.newest {
		n.newest = term
		n.save()
	}
}

// send sends m to a peer from a goroutine of its own: the loop never waits for the network.
func (n *Node) send(ctx context.Context, to string, m peer.Message) {
	n.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, n.Policy.Failover)
		defer cancel()
		if err := n.Streams.Send(ctx, to, m); err != nil {
			n.log.Debug("message not sent", "peer", to, "kind", m.Kind, "err", err)
		}
	})
}
