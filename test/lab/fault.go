package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Fault is something broken on purpose.
type Fault struct {
	What string // for people: "silent cut of lb1"
	heal func() error
	once sync.Once
	err  error
}

// Heal repairs it and returns when the repair is in effect. A second call does nothing and returns what the first did.
func (f *Fault) Heal() error {
	f.once.Do(func() {
		if err := f.heal(); err != nil {
			f.err = fmt.Errorf("heal %s: %w", f.What, err)
		}
	})
	return f.err
}

// PullAtSwitch pulls the cable at the switch: the host loses its carrier.
func (l *Lab) PullAtSwitch(h *Host) (*Fault, error) {
	set := func(up bool) error {
		return l.sw.Do(func() error { return setLink(h.name, up) })
	}
	return fault("plug of "+h.name+" pulled at the switch", set(false), func() error { return errors.Join(set(true), l.wired(h.name, h, eth)) })
}

// PullAtHost takes the host's own link down, as `ip link set eth0 down` does: IPv6 addresses on it are lost, and come back with the heal.
func (l *Lab) PullAtHost(h *Host) (*Fault, error) {
	down := h.Do(func() error { return setLink(eth, false) })
	return fault("link of "+h.name+" down", down, func() error { return errors.Join(h.Do(h.up), l.wired(h.name, h, eth)) })
}

// SilentCut drops every frame to and from the host at the switch; its carrier stays.
func (l *Lab) SilentCut(h *Host) (*Fault, error) {
	return l.drop("silent cut of "+h.name, match{from: h.name}, match{to: h.name})
}

// Deafen drops every frame towards the host, which keeps its carrier and is heard by the others.
func (l *Lab) Deafen(h *Host) (*Fault, error) {
	return l.drop("deaf "+h.name, match{to: h.name})
}

// Mute drops every frame from the host, which keeps its carrier and hears the others.
func (l *Lab) Mute(h *Host) (*Fault, error) {
	return l.drop("mute "+h.name, match{from: h.name})
}

// CutOneWay drops every frame from one host to another, broadcasts included; the way back is open.
func (l *Lab) CutOneWay(from, to *Host) (*Fault, error) {
	return l.drop("one-way cut from "+from.name+" to "+to.name, match{from: from.name, to: to.name})
}

// CutBetween drops every frame between two hosts; both reach everybody else.
func (l *Lab) CutBetween(a, b *Host) (*Fault, error) {
	return l.drop("cut between "+a.name+" and "+b.name, match{from: a.name, to: b.name}, match{from: b.name, to: a.name})
}

// Partition splits the segment: no frame passes between a host of one side and a host of the other.
func (l *Lab) Partition(one, other []*Host) (*Fault, error) {
	var rules []match
	for _, a := range one {
		for _, b := range other {
			rules = append(rules, match{from: a.name, to: b.name}, match{from: b.name, to: a.name})
		}
	}
	return l.drop("partition of "+names(one)+" from "+names(other), rules...)
}

// FilterIP drops IPv4 and IPv6 between two hosts, as a firewall does, while ARP and neighbour discovery pass.
func (l *Lab) FilterIP(a, b *Host) (*Fault, error) {
	return l.drop("IP filtered between "+a.name+" and "+b.name,
		match{from: a.name, to: b.name, ip: true}, match{from: b.name, to: a.name, ip: true})
}

// Lose drops each frame between two hosts with probability p, in both directions, independently.
func (l *Lab) Lose(a, b *Host, p float64) (*Fault, error) {
	if !(p > 0 && p <= 1) {
		return nil, fmt.Errorf("loss of %v: a probability above 0 and at most 1 is allowed", p)
	}
	return l.drop(fmt.Sprintf("%.0f %% loss between %s and %s", 100*p, a.name, b.name),
		match{from: a.name, to: b.name, loss: p}, match{from: b.name, to: a.name, loss: p})
}

func names(hosts []*Host) string {
	var list []string
	for _, h := range hosts {
		list = append(list, h.name)
	}
	return strings.Join(list, "+")
}

func fault(what string, err error, heal func() error) (*Fault, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return &Fault{What: what, heal: heal}, nil
}

func setLink(name string, up bool) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if up {
		return netlink.LinkSetUp(link)
	}
	return netlink.LinkSetDown(link)
}

// match says which frames a rule of the switch drops; empty means any.
type match struct {
	from, to string // ports, which are named as their hosts
	ip       bool   // only IPv4 and IPv6, but never neighbour discovery
	loss     float64
}

// drop installs the rules as a chain of their own, in one transaction, so that a fault begins and ends at one instant. All faults are rules
// about frames that the switch forwards: what a host sends to itself is no business of the cable, and no tap in the host sees a frame that
// never came out of the switch.
func (l *Lab) drop(what string, rules ...match) (*Fault, error) {
	l.mu.Lock()
	l.faults++
	name := fmt.Sprintf("fault-%d", l.faults)
	l.mu.Unlock()
	table := &nftables.Table{Family: nftables.TableFamilyBridge, Name: "lab"}
	accept := nftables.ChainPolicyAccept
	chain := &nftables.Chain{
		Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter, Policy: &accept,
	}
	err := l.sw.nft(func(c *nftables.Conn) {
		c.AddTable(table)
		c.AddChain(chain)
		for _, m := range rules {
			for _, exprs := range m.exprs() {
				c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
			}
		}
	})
	return fault(what, err, func() error {
		return l.sw.nft(func(c *nftables.Conn) {
			c.FlushChain(chain)
			c.DelChain(chain)
		})
	})
}

// nft runs one nftables transaction in the host.
func (h *Host) nft(f func(*nftables.Conn)) error {
	return h.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		f(c)
		return c.Flush()
	})
}

// exprs are the rules for one match; filtering IP takes two, one for each version.
func (m match) exprs() [][]expr.Any {
	var head []expr.Any
	for _, port := range []struct {
		key  expr.MetaKey
		name string
	}{{expr.MetaKeyIIFNAME, m.from}, {expr.MetaKeyOIFNAME, m.to}} {
		if port.name != "" {
			head = append(head, &expr.Meta{Key: port.key, Register: 1}, equal(ifname(port.name)))
		}
	}
	if m.loss > 0 && m.loss < 1 {
		limit := uint32(m.loss * math.MaxUint32)
		head = append(head,
			&expr.Numgen{Register: 1, Modulus: math.MaxUint32, Type: unix.NFT_NG_RANDOM},
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binary.BigEndian.AppendUint32(nil, limit)})
	}
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	if !m.ip {
		return [][]expr.Any{append(head, drop)}
	}
	v4 := append(slices.Clone(head), etherType(unix.ETH_P_IP)...)
	v6 := append(slices.Clone(head), etherType(unix.ETH_P_IPV6)...)
	// Neighbour discovery is ICMPv6 of types 133 to 137; every header before it would be an extension, which it never has.
	nd := append(slices.Clone(v6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 1}, equal([]byte{unix.IPPROTO_ICMPV6}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 40, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{133}, ToData: []byte{137}},
		&expr.Verdict{Kind: expr.VerdictReturn})
	return [][]expr.Any{append(v4, drop), nd, append(v6, drop)}
}

func etherType(t uint16) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, equal(binary.BigEndian.AppendUint16(nil, t))}
}

func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// ifname is an interface name as nftables compares it: sixteen bytes, zero-padded.
func ifname(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}
