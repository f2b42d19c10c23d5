package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of a pair's segment, as numbers for Addr4 and Addr6. Names and numbers not listed are free for further hosts.
const (
	GatewayID  = 1
	VIPID      = 10
	NodeID     = 11 // and upwards, at most MaxNodes
	BackendID  = 21 // and 22
	ClientID   = 31
	CrowdID    = 32
	ObserverID = 41
	StrangerID = 66
	QuietID    = 70 // and upwards, as many as asked for
)

// MaxNodes is how many nodes a pair can have: their numbers end where the backends' begin.
const MaxNodes = 9

// The pair's listeners.
const (
	PortHTTP = 80 // protocol http
	PortTCP  = 81 // protocol tcp
)

// PairConfig describes a pair. The zero value runs ./bin/tandem with its defaults on an IPv4 VIP.
type PairConfig struct {
	// Launch starts what a node runs; nil: Tandem.
	Launch Launch
	// Binary is the tandem that Tandem runs; empty: bin/tandem in the current directory.
	Binary string
	// Nodes is how many nodes there are, a witness included; default 2.
	Nodes int
	// Witness makes the last node one: it votes and never leads, is named witness, and runs without privileges where the lab can have
	// another user. Quorum, which a witness needs, has the nodes vote.
	Witness, Quorum bool
	// IPv6 gives the pair a second VIP, Addr6(VIPID).
	IPv6 bool
	// Quiet is how many clients with a stubborn neighbour cache there are.
	Quiet int
	// LogLevel is tandem's; empty: info, which is the default. Debug costs a line for each request.
	LogLevel string
	// Edit changes a node's configuration file before each start; nil: none. See Node.Config.
	Edit func(n *Node, config string) string
	// Every is the time between the observer's questions; default 5 ms.
	Every time.Duration
	// Weight puts what runs on each node into a group of its own with that CPUWeight, as its unit file does, and busy loops into one of the usual weight, where a
	// login's or another unit's processes are; 0: all are in one. Without such groups on this machine starting a node fails with ErrNoWeights.
	Weight int
}

// Launch starts the processes of a node in its host. Whatever they fork must stay in the host's namespace.
type Launch func(n *Node) ([]*Proc, error)

// Pair is a lab with two nodes (or as many as PairConfig says), a VIP, two backends, a gateway, a client, an observer and a stranger, on one segment.
type Pair struct {
	*Lab
	Config   PairConfig
	Nodes    []*Node
	Backends [2]*Backend
	Client   *Host // for Load
	Crowd    *Host // for connections that are held open
	Gateway  *Host // answers ARP and ping
	Stranger *Host // for Usurp
	Quiet    []*Host
	VIP      netip.Addr
	VIP6     netip.Addr // invalid without IPv6
	Watch    *Observer  // asks for VIP
	Watch6   *Observer  // asks for VIP6; nil without IPv6
}

// Node is one of the pair's. Its Index counts from 0, its name is lb1, lb2, …, or witness.
type Node struct {
	*Host
	Index   int
	Witness bool
	Pair    *Pair
	Procs   []*Proc // what Launch returned last; empty before the first start
	share   *group  // with Weight, after the first start
}

// NewPair builds a pair in the lab; nothing runs on the nodes yet.
func NewPair(l *Lab, c PairConfig) (*Pair, error) {
	if c.Every == 0 {
		c.Every = 5 * time.Millisecond
	}
	c.Nodes, c.Quorum = cmp.Or(c.Nodes, 2), c.Quorum || c.Witness
	if c.Nodes < 1 || c.Nodes > MaxNodes {
		return nil, fmt.Errorf("%d nodes: 1 to %d are possible", c.Nodes, MaxNodes)
	}
	p := &Pair{Lab: l, Config: c, VIP: Addr4(VIPID)}
	if c.IPv6 {
		p.VIP6 = Addr6(VIPID)
	}
	var errs []error
	host := func(name string, id uint8) *Host {
		h, err := l.Host(name, id)
		errs = append(errs, err)
		return h
	}
	p.Gateway, p.Client, p.Crowd = host("gateway", GatewayID), host("client", ClientID), host("crowd", CrowdID)
	p.Stranger = host("stranger", StrangerID)
	observer := host("observer", ObserverID)
	var backends [2]*Host
	for i := range c.Nodes {
		n := &Node{Index: i, Witness: c.Witness && i == c.Nodes-1, Pair: p}
		name := fmt.Sprintf("lb%d", i+1)
		if n.Witness {
			name = "witness"
		}
		n.Host = host(name, NodeID+uint8(i))
		p.Nodes = append(p.Nodes, n)
	}
	for i := range backends {
		backends[i] = host(fmt.Sprintf("web%d", i+1), BackendID+uint8(i))
	}
	for i := range c.Quiet {
		p.Quiet = append(p.Quiet, host(fmt.Sprintf("quiet%d", i+1), QuietID+uint8(i)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, h := range backends {
		if p.Backends[i], errs = backend(h, errs); errs != nil {
			return nil, errors.Join(errs...)
		}
	}
	return p, p.observe(observer)
}

func backend(h *Host, errs []error) (*Backend, []error) {
	b, err := h.Backend()
	if err != nil {
		return nil, append(errs, err)
	}
	return b, nil
}

func (p *Pair) observe(h *Host) (err error) {
	if p.Watch, err = h.Observe(p.VIP, p.Config.Every); err != nil {
		return err
	}
	if p.VIP6.IsValid() {
		p.Watch6, err = h.Observe(p.VIP6, p.Config.Every)
	}
	return err
}

// StartNode starts node i, or starts it again after it has ended.
func (p *Pair) StartNode(i int) error {
	n := p.Nodes[i]
	launch := p.Config.Launch
	if launch == nil {
		launch = Tandem
	}
	procs, err := launch(n)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name(), err)
	}
	n.Procs = procs
	if err := n.weigh(); err != nil {
		return fmt.Errorf("give %s its share of the CPU: %w", n.Name(), err)
	}
	return nil
}

// KillNode kills everything that runs on node i: frozen first, then killed. It returns when all is gone.
func (p *Pair) KillNode(i int) { p.Nodes[i].Kill() }

// StopNode stops everything on node i as SIGSTOP does: the host lives, its kernel answers, no process runs.
func (p *Pair) StopNode(i int) { p.Nodes[i].Freeze() }

// ContNode lets node i go on after StopNode.
func (p *Pair) ContNode(i int) { p.Nodes[i].Thaw() }

// TermNode asks what was launched on node i to end, with SIGTERM to each process, and waits until all have. The error is the first exit
// status that is not 0.
func (p *Pair) TermNode(ctx context.Context, i int) error {
	for _, proc := range p.Nodes[i].Procs {
		if err := proc.Signal(unix.SIGTERM); err != nil {
			return fmt.Errorf("ask %s to end: %w", proc.Name, err)
		}
	}
	for _, proc := range p.Nodes[i].Procs {
		if err := proc.Wait(ctx); err != nil {
			return fmt.Errorf("%s after SIGTERM: %w", proc.Name, err)
		}
	}
	return nil
}

// Other is the node that n is not; of several the first that can lead.
func (p *Pair) Other(n *Node) *Node {
	for _, o := range p.Others(n) {
		if !o.Witness {
			return o
		}
	}
	return nil
}

// Others are all nodes that n is not, a witness included.
func (p *Pair) Others(n *Node) []*Node {
	return slices.DeleteFunc(slices.Clone(p.Nodes), func(o *Node) bool { return o == n })
}

// Leader is the node that answers for the VIP, seen by the observer: nil when nobody answers, when a stranger does, or when two do.
func (p *Pair) Leader() *Node { return p.leader(p.Watch.Now()) }

func (p *Pair) leader(who []string) *Node {
	for _, n := range p.Nodes {
		if slices.Equal(who, []string{n.Name()}) {
			return n
		}
	}
	return nil
}

// WaitLeader waits until one node alone answers for the VIP: one of those given, or any when none is given.
func (p *Pair) WaitLeader(ctx context.Context, wanted ...*Node) (*Node, error) {
	who, err := p.Watch.Wait(ctx, func(who []string) bool {
		n := p.leader(who)
		return n != nil && (len(wanted) == 0 || slices.Contains(wanted, n))
	})
	if err != nil {
		return nil, fmt.Errorf("wait for a leader: %w", err)
	}
	return p.leader(who), nil
}

// Load starts a client that asks the VIP's HTTP listener so often.
func (p *Pair) Load(every time.Duration) (*Client, error) {
	return p.Client.Client(netip.AddrPortFrom(p.VIP, PortHTTP), every)
}

// WaitServed waits until a client gets its answers again: the successes of a whole stretch without a failure, that long.
func (p *Pair) WaitServed(ctx context.Context, c *Client, stretch time.Duration) error {
	begin := time.Now()
	for {
		now := time.Now()
		from := now.Add(-stretch)
		if r := c.Report(from, now); from.After(begin) && r.Attempts > 0 && r.Failed == 0 && r.Last.After(now.Add(-stretch/2)) && r.Blackout < stretch/2 {
			return nil
		}
		select {
		case <-time.After(stretch / 10):
		case <-ctx.Done():
			return fmt.Errorf("wait for service: %s: %w", c.Report(from, now), ctx.Err())
		}
	}
}
