package fence

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Hop is a link on which connections that began elsewhere are passed on.
type Hop struct {
	Device   string
	Index    int
	VIPs     []netip.Addr
	Own, To  net.HardwareAddr // of this node, and of the node that the connections began at
	Excepted []net.HardwareAddr
}

// Parts of the TCP header, and of Ethernet's.
const (
	tcpPorts = 0
	tcpFlags = 13
	tcpSYN   = 0x02
	flagMask = 0x17 // FIN, SYN, RST and ACK, RFC 9293, 3.1
	etherDst = 0
	etherSrc = 6

	// young is how long a connection that began here is known without a packet of it: longer than any passage.
	young = 10 * time.Second
	// crowd bounds how many are known. Beyond it new ones are passed on, too, and are refused there.
	crowd = 1 << 16

	setNodes = "nodes" // MACs of other nodes
)

// Passage puts the rules into the kernel by which PassOn works, for the links of these hops (Device, Index, VIPs). They do nothing until then. Rules at the
// ingress of a link may take the kernel long to change, and nobody changes anything else of nftables meanwhile, the gate's lease included: it is not for a node that holds.
func (g *Gate) Passage(hops []Hop) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	p := passage{c: c, t: fresh(c, g.table, nftables.TableFamilyNetdev)}
	if err := p.add(p.nodes()); err != nil {
		return err
	}
	for _, l := range layouts() {
		for _, s := range []*nftables.Set{p.moved(l), p.own(l)} {
			if err := p.add(s); err != nil {
				return err
			}
		}
		if err := p.known(l); err != nil {
			return err
		}
	}
	for n, h := range hops {
		p.hop(n, h)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("install the passage %s: %w", g.table, err)
	}
	return nil
}

// PassOn sends TCP connections for the virtual addresses that did not begin here, by a SYN that was seen since, on to the node where they did, as they are but for
// their Ethernet addresses. It ends by itself after life. What comes from Excepted is never passed on: two nodes that both pass on to each other would do so for ever.
// ErrGone: there are no rules, Passage is needed.
func (g *Gate) PassOn(hops []Hop, life time.Duration) error {
	var moved, own [2][]nftables.SetElement
	var nodes []nftables.SetElement
	for _, h := range hops {
		for _, m := range append([]net.HardwareAddr{h.To}, h.Excepted...) {
			nodes = append(nodes, nftables.SetElement{Key: m, Timeout: life})
		}
		for _, a := range h.VIPs {
			f := 0
			if a.Is6() {
				f = 1
			}
			moved[f] = append(moved[f], nftables.SetElement{Key: a.AsSlice(), Val: h.To, Timeout: life})
			own[f] = append(own[f], nftables.SetElement{Key: a.AsSlice(), Val: h.Own, Timeout: life})
		}
	}
	return g.pass(func(p passage) error {
		errs := []error{p.fill(p.nodes(), unique(nodes))}
		for f, l := range layouts() {
			errs = append(errs, p.fill(p.moved(l), moved[f]), p.fill(p.own(l), own[f]))
		}
		return errors.Join(errs...)
	})
}

// PassNoMore ends PassOn. It is no error if it has ended, or never was.
func (g *Gate) PassNoMore() error {
	err := g.pass(func(p passage) error {
		for _, l := range layouts() {
			p.c.FlushSet(p.moved(l))
		}
		return nil
	})
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// pass changes elements of the passage's sets, in one transaction.
func (g *Gate) pass(change func(passage) error) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	if err := change(passage{c: c, t: &nftables.Table{Name: g.table, Family: nftables.TableFamilyNetdev}}); err != nil {
		return err
	}
	err = c.Flush()
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("the passage %s: %w", g.table, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("change the passage %s: %w", g.table, err)
	}
	return nil
}

// passage is a table, and the transaction that makes or changes it.
type passage struct {
	c *nftables.Conn
	t *nftables.Table
}

func layouts() []layout {
	return []layout{
		{id: 10, name: "4", ether: unix.ETH_P_IP, typ: nftables.TypeIPAddr, size: 4, source: ip4Source, dest: ip4Dest},
		{id: 20, name: "6", ether: unix.ETH_P_IPV6, typ: nftables.TypeIP6Addr, size: 16, source: ip6Source, dest: ip6Dest},
	}
}

func (p passage) nodes() *nftables.Set {
	return &nftables.Set{Table: p.t, ID: 1, Name: setNodes, KeyType: nftables.TypeEtherAddr, HasTimeout: true, Timeout: young}
}

// moved is the map of virtual addresses that are passed on to the MAC that they are passed on to; own to that of this node's link.
func (p passage) moved(l layout) *nftables.Set { return p.macs(l.id, "moved"+l.name, l.typ) }
func (p passage) own(l layout) *nftables.Set   { return p.macs(l.id+1, "own"+l.name, l.typ) }

func (p passage) macs(id uint32, name string, key nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{Table: p.t, ID: id, Name: name, KeyType: key, DataType: nftables.TypeEtherAddr, IsMap: true, HasTimeout: true, Timeout: young}
}

func (p passage) add(s *nftables.Set) error {
	s.KeyByteOrder = binaryutil.BigEndian
	if err := p.c.AddSet(s, nil); err != nil {
		return fmt.Errorf("set %s: %w", s.Name, err)
	}
	return nil
}

// fill replaces what is in a set.
func (p passage) fill(s *nftables.Set, elems []nftables.SetElement) error {
	p.c.FlushSet(s)
	if len(elems) == 0 {
		return nil
	}
	if err := p.c.SetAddElements(s, elems); err != nil {
		return fmt.Errorf("fill %s: %w", s.Name, err)
	}
	return nil
}

// here is the set of the connections that began here.
func (l layout) here() *nftables.Set { return &nftables.Set{ID: l.id + 2, Name: "here" + l.name} }

func (p passage) known(l layout) error {
	key, err := nftables.ConcatSetType(l.typ, l.typ, nftables.TypeInetService, nftables.TypeInetService)
	if err != nil {
		return fmt.Errorf("the type of a set: %w", err)
	}
	s := l.here()
	s.Table, s.KeyType, s.Concatenation, s.Dynamic, s.HasTimeout, s.Timeout, s.Size = p.t, key, true, true, true, young, crowd
	return p.add(s)
}

// hop adds the chains of a link: one that sees every packet and looks only whether its address is passed on, and one for those.
func (p passage) hop(n int, h Hop) {
	priority, policy := nftables.ChainPriority(before), nftables.ChainPolicyAccept
	in := p.c.AddChain(&nftables.Chain{
		Table: p.t, Name: fmt.Sprintf("hop%d", n), Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress, Priority: &priority, Policy: &policy, Device: h.Device,
	})
	for _, l := range layouts() {
		if !slices.ContainsFunc(h.VIPs, func(a netip.Addr) bool { return a.Is4() == (l.size == 4) }) {
			continue
		}
		name := fmt.Sprintf("pass%d_%s", n, l.name)
		ch := p.c.AddChain(&nftables.Chain{Table: p.t, Name: name})
		rule(p.c, in, tcpTo(l, p.moved(l)), []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: name}})
		p.rules(ch, h, l)
	}
}

func (p passage) rules(ch *nftables.Chain, h Hop, l layout) {
	here := l.here()
	rule(p.c, ch, flags(tcpSYN), connection(l), []expr.Any{
		&expr.Dynset{SrcRegKey: concat, SetName: here.Name, SetID: here.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Timeout: young},
	}, accept())
	rule(p.c, ch, flags(tcpSYN), accept())
	rule(p.c, ch, connection(l), []expr.Any{&expr.Lookup{SourceRegister: concat, SetName: here.Name, SetID: here.ID}}, accept())
	rule(p.c, ch, ether(etherSrc), notAmong(p.nodes()), write(etherDst, l, p.moved(l)), write(etherSrc, l, p.own(l)), []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(h.Index))}, //nolint:gosec // a small number
		&expr.Dup{RegDev: 1, IsRegDevSet: true},
	}, drop())
}

func unique(elems []nftables.SetElement) []nftables.SetElement {
	seen := map[string]bool{}
	var out []nftables.SetElement
	for _, e := range elems {
		if !seen[string(e.Key)] {
			seen[string(e.Key)] = true
			out = append(out, e)
		}
	}
	return out
}

// layout is where things are in the headers of a family.
type layout struct {
	id           uint32
	name         string
	ether        uint16
	typ          nftables.SetDatatype
	size         uint32
	source, dest uint32
}

// tcpTo matches TCP to an address of the set.
func tcpTo(l layout, vips *nftables.Set) []expr.Any {
	e := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(l.ether)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
	return append(append(e, network(l.dest, l.size)...), among(vips)...)
}

// flags matches TCP packets of which, of SYN, ACK, FIN and RST, exactly those are set.
func flags(want byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{flagMask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	}
}

// concat is the first of the kernel's small registers; what is loaded into several in a row is one key.
const concat = unix.NFT_REG32_00

// connection loads who speaks to whom.
func connection(l layout) []expr.Any {
	second := concat + l.size/4
	ports := second + l.size/4
	return []expr.Any{
		&expr.Payload{DestRegister: concat, Base: expr.PayloadBaseNetworkHeader, Offset: l.source, Len: l.size},
		&expr.Payload{DestRegister: second, Base: expr.PayloadBaseNetworkHeader, Offset: l.dest, Len: l.size},
		&expr.Payload{DestRegister: ports, Base: expr.PayloadBaseTransportHeader, Offset: tcpPorts, Len: 2},
		&expr.Payload{DestRegister: ports + 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpPorts + 2, Len: 2},
	}
}

func ether(offset uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: 6}}
}

// write puts the MAC that the map has for the packet's address into its Ethernet header.
func write(offset uint32, l layout, macs *nftables.Set) []expr.Any {
	return append(network(l.dest, l.size),
		&expr.Lookup{SourceRegister: 1, DestRegister: 2, IsDestRegSet: true, SetName: macs.Name, SetID: macs.ID},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 2, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: 6})
}
