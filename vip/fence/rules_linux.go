package fence

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets and numbers of the headers that the rules look into.
const (
	arpOperation = 6  // RFC 826
	arpSender    = 14 // protocol address of the sender, Ethernet and IPv4
	arpTarget    = 24
	ip4Source    = 12
	ip4Dest      = 16
	ip6Source    = 8
	ip6Dest      = 24
	ndTarget     = 8 // RFC 4861, 4.3 and 4.4: after type, code, checksum, reserved
	ndSolicit    = 135
	ndAdvertise  = 136

	// The arp family numbers its hooks on its own (NF_ARP_IN, NF_ARP_OUT).
	arpIn  = 0
	arpOut = 1

	// before runs ahead of an administrator's own filter: nothing that it counts or logs was for us.
	before = -150
)

// Install puts the whole gate into the kernel, in the given mode, in one transaction; a gate of that name that is there is replaced.
// Only who knows that the lease still runs may install anything but Shut.
func (g *Gate) Install(m Mode) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	if err := g.inet(c, m); err != nil {
		return err
	}
	if len(g.v4) > 0 {
		if err := g.arp(c, m); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("install the tables %s: %w", g.table, err)
	}
	return nil
}

// Remove takes the gate of a node out of the kernel, and its passage. It is no error if there is none.
func Remove(node string) (removed bool, err error) {
	var errs []error
	for _, family := range []nftables.TableFamily{nftables.TableFamilyNetdev, nftables.TableFamilyINet, nftables.TableFamilyARP} {
		was, err := removeTable(Table(node), family)
		removed = removed || was && family != nftables.TableFamilyNetdev
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// removeTable removes a table. It is no error if there is none, or none of that family.
func removeTable(name string, family nftables.TableFamily) (removed bool, err error) {
	c, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open netfilter: %w", err)
	}
	c.DelTable(&nftables.Table{Name: name, Family: family})
	switch err := c.Flush(); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	default:
		return false, fmt.Errorf("remove the table %s: %w", name, err)
	}
}

// fresh begins an empty table of that name, whatever was there.
func fresh(c *nftables.Conn, name string, family nftables.TableFamily) *nftables.Table {
	t := &nftables.Table{Name: name, Family: family}
	c.AddTable(t)
	c.DelTable(t)
	return c.AddTable(t)
}

// addSet adds a set. The ids are our own: the library's counter for them is not guarded.
func (g *Gate) addSet(c *nftables.Conn, t *nftables.Table, id uint32, name string, typ nftables.SetDatatype, vips []netip.Addr, lease, full bool) (*nftables.Set, error) {
	s := &nftables.Set{Table: t, ID: id, Name: name, KeyType: typ, HasTimeout: lease, KeyByteOrder: binaryutil.BigEndian, Size: uint32(len(vips))}
	if lease {
		s.Timeout = g.timeout
		s.Size = 0 // elements that have expired but are not yet collected count
	}
	var elems []nftables.SetElement
	for _, a := range vips {
		if e := (nftables.SetElement{Key: a.AsSlice()}); full {
			if lease {
				e.Timeout = g.timeout
			}
			elems = append(elems, e)
		}
	}
	if err := c.AddSet(s, elems); err != nil {
		return nil, fmt.Errorf("set %s: %w", name, err)
	}
	return s, nil
}

// inet is the gate for IP and for neighbour discovery.
func (g *Gate) inet(c *nftables.Conn, m Mode) error {
	t := fresh(c, g.table, nftables.TableFamilyINet)
	if err := c.AddSet(&nftables.Set{Table: t, ID: 1, Name: setTicket, KeyType: nftables.TypeMark, HasTimeout: true, Timeout: g.timeout}, nil); err != nil {
		return fmt.Errorf("set %s: %w", setTicket, err)
	}
	in := c.AddChain(chain(t, "in", *nftables.ChainHookInput))
	out := c.AddChain(chain(t, "out", *nftables.ChainHookOutput))
	if len(g.v6) > 0 {
		vips, err := g.addSet(c, t, 2, setVIPs6, nftables.TypeIP6Addr, g.v6, false, true)
		if err != nil {
			return err
		}
		speak, err := g.addSet(c, t, 3, setSpeak6, nftables.TypeIP6Addr, g.v6, true, m == Open)
		if err != nil {
			return err
		}
		serve, err := g.addSet(c, t, 4, setServe6, nftables.TypeIP6Addr, g.v6, true, m != Shut)
		if err != nil {
			return err
		}
		// Who asks for the address is not heard; the address is neither told in an answer nor, as the source of a question, in passing.
		rule(c, in, nd(ndSolicit, target6()), among(vips), notAmong(speak), drop())
		rule(c, out, nd(ndAdvertise, target6()), among(vips), notAmong(speak), drop())
		rule(c, out, nd(ndSolicit, network(ip6Source, 16)), among(vips), notAmong(speak), drop())
		rule(c, in, family(unix.NFPROTO_IPV6), network(ip6Dest, 16), among(vips), notAmong(serve), drop())
		rule(c, out, family(unix.NFPROTO_IPV6), network(ip6Source, 16), among(vips), notAmong(serve), drop())
	}
	if len(g.v4) > 0 {
		vips, err := g.addSet(c, t, 5, setVIPs4, nftables.TypeIPAddr, g.v4, false, true)
		if err != nil {
			return err
		}
		serve, err := g.addSet(c, t, 6, setServe4, nftables.TypeIPAddr, g.v4, true, m != Shut)
		if err != nil {
			return err
		}
		rule(c, in, family(unix.NFPROTO_IPV4), network(ip4Dest, 4), among(vips), notAmong(serve), drop())
		rule(c, out, family(unix.NFPROTO_IPV4), network(ip4Source, 4), among(vips), notAmong(serve), drop())
	}
	return nil
}

// arp is the gate for ARP. Announcements of the present holder (sender and target both the virtual address) still come in:
// programs on this host that use the address learn from them where it has moved to.
func (g *Gate) arp(c *nftables.Conn, m Mode) error {
	t := fresh(c, g.table, nftables.TableFamilyARP)
	vips, err := g.addSet(c, t, 1, setVIPs4, nftables.TypeIPAddr, g.v4, false, true)
	if err != nil {
		return err
	}
	speak, err := g.addSet(c, t, 2, setSpeak4, nftables.TypeIPAddr, g.v4, true, m == Open)
	if err != nil {
		return err
	}
	in := c.AddChain(chain(t, "in", arpIn))
	out := c.AddChain(chain(t, "out", arpOut))
	rule(c, in, network(arpTarget, 4), among(vips), notAmong(speak), network(arpSender, 4), notAmong(vips), drop())
	// The kernel asks for a neighbour's MAC in the name of the address that it is about to answer from. Whoever may not speak asks in nobody's name
	// (a probe, RFC 5227), which is answered all the same, and changes no cache.
	rule(c, out, network(arpOperation, 2), equal(0, 1), network(arpTarget, 4), notAmong(vips),
		network(arpSender, 4), among(vips), notAmong(speak), set(arpSender, 4), accept())
	rule(c, out, network(arpSender, 4), among(vips), notAmong(speak), drop())
	return nil
}

func chain(t *nftables.Table, name string, hook nftables.ChainHook) *nftables.Chain {
	accept, priority := nftables.ChainPolicyAccept, nftables.ChainPriority(before)
	return &nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeFilter, Hooknum: &hook, Priority: &priority, Policy: &accept}
}

func rule(c *nftables.Conn, ch *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	c.AddRule(&nftables.Rule{Table: ch.Table, Chain: ch, Exprs: all})
}

func family(f byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{f}},
	}
}

func network(offset, size uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}}
}

func target6() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: ndTarget, Len: 16}}
}

// nd matches one type of ICMPv6 message and loads what is to be looked up.
func nd(typ byte, load []expr.Any) []expr.Any {
	e := append(family(unix.NFPROTO_IPV6),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{typ}},
	)
	return append(e, load...)
}

// The lookups leave the register as it is, so that they can follow one another.
func among(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

func notAmong(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true}}
}

func equal(data ...byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}}
}

// set writes zeros into the network header.
func set(offset, size uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: make([]byte, size)},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }
