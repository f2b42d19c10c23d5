package fence

import (
	"fmt"
	"net"
	"net/netip"
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
)

// PassOn sends TCP connections for the virtual addresses that did not begin here, by a SYN that was seen since, on to the node where they did, as they are but for
// their Ethernet addresses. It ends by itself after life. What comes from Excepted is never passed on: two nodes that both pass on to each other would do so for ever.
func (g *Gate) PassOn(hops []Hop, life time.Duration) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	t := fresh(c, g.table, nftables.TableFamilyNetdev)
	p := passage{c: c, t: t, life: life}
	for n, h := range hops {
		if err := p.hop(n, h); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("install the passage %s: %w", g.table, err)
	}
	return nil
}

// PassNoMore ends PassOn. It is no error if it has ended, or never was.
func (g *Gate) PassNoMore() error {
	_, err := removeTable(Table(g.node), nftables.TableFamilyNetdev)
	return err
}

// passage is a table under construction.
type passage struct {
	c    *nftables.Conn
	t    *nftables.Table
	life time.Duration
	sets uint32
}

func (p *passage) hop(n int, h Hop) error {
	priority, policy := nftables.ChainPriority(before), nftables.ChainPolicyAccept
	ch := p.c.AddChain(&nftables.Chain{
		Table: p.t, Name: fmt.Sprintf("hop%d", n), Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress, Priority: &priority, Policy: &policy, Device: h.Device,
	})
	var v4, v6 []netip.Addr
	for _, a := range h.VIPs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	if len(v4) > 0 {
		if err := p.rules(ch, h, layout{name: fmt.Sprintf("%d_4", n), ether: unix.ETH_P_IP, typ: nftables.TypeIPAddr, size: 4, source: ip4Source, dest: ip4Dest}, v4); err != nil {
			return err
		}
	}
	if len(v6) > 0 {
		return p.rules(ch, h, layout{name: fmt.Sprintf("%d_6", n), ether: unix.ETH_P_IPV6, typ: nftables.TypeIP6Addr, size: 16, source: ip6Source, dest: ip6Dest}, v6)
	}
	return nil
}

// layout is where things are in the headers of a family.
type layout struct {
	name         string
	ether        uint16
	typ          nftables.SetDatatype
	size         uint32
	source, dest uint32
}

func (p *passage) set(s nftables.Set, elems []nftables.SetElement) (*nftables.Set, error) {
	p.sets++
	s.Table, s.ID, s.KeyByteOrder = p.t, p.sets, binaryutil.BigEndian
	if err := p.c.AddSet(&s, elems); err != nil {
		return nil, fmt.Errorf("set %s: %w", s.Name, err)
	}
	return &s, nil
}

func (p *passage) rules(ch *nftables.Chain, h Hop, l layout, vips []netip.Addr) error {
	var elems []nftables.SetElement
	for _, a := range vips {
		elems = append(elems, nftables.SetElement{Key: a.AsSlice(), Timeout: p.life})
	}
	moved, err := p.set(nftables.Set{Name: "moved" + l.name, KeyType: l.typ, HasTimeout: true, Timeout: p.life}, elems)
	if err != nil {
		return err
	}
	key, err := nftables.ConcatSetType(l.typ, l.typ, nftables.TypeInetService, nftables.TypeInetService)
	if err != nil {
		return fmt.Errorf("the type of a set: %w", err)
	}
	here, err := p.set(nftables.Set{Name: "here" + l.name, KeyType: key, Concatenation: true, Dynamic: true, HasTimeout: true, Timeout: young, Size: crowd}, nil)
	if err != nil {
		return err
	}
	elems = nil
	for _, m := range append([]net.HardwareAddr{h.To}, h.Excepted...) {
		elems = append(elems, nftables.SetElement{Key: m})
	}
	nodes, err := p.set(nftables.Set{Name: "nodes" + l.name, KeyType: nftables.TypeEtherAddr}, unique(elems))
	if err != nil {
		return err
	}
	ours := tcpTo(l, moved)
	rule(p.c, ch, ours, flags(tcpSYN), connection(l), []expr.Any{
		&expr.Dynset{SrcRegKey: concat, SetName: here.Name, SetID: here.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Timeout: young},
	}, accept())
	rule(p.c, ch, ours, flags(tcpSYN), accept())
	rule(p.c, ch, ours, connection(l), []expr.Any{&expr.Lookup{SourceRegister: concat, SetName: here.Name, SetID: here.ID}}, accept())
	rule(p.c, ch, ours, ether(etherSrc), notAmong(nodes), write(etherDst, h.To), write(etherSrc, h.Own), []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(h.Index))},
		&expr.Dup{RegDev: 1, IsRegDevSet: true},
	}, drop())
	return nil
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

func write(offset uint32, mac net.HardwareAddr) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: mac},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: 6},
	}
}
