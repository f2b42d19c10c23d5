package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// The checks of links, and of what is on them.

func links(f Facts) []Finding {
	var all []Finding
	for _, l := range f.Links {
		all = append(all, fits(l)...)
	}
	return all
}

func fits(l Link) []Finding {
	about := "link " + l.Name
	if l.Err != nil {
		return one(Wrong, about, l.Err.Error(), "ip link; tandem waits for it, and says so in its log")
	}
	var all []Finding
	bad := func(v Verdict, what, do string) { all = append(all, Finding{v, about, what, do}) }
	set := func(name string, to int) string {
		return fmt.Sprintf("sysctl -w net.ipv4.conf.%s.%s=%d, and a line in /etc/sysctl.d; the value of net.ipv4.conf.all.%s counts, too", l.Name, name, to, name)
	}
	if !l.Up {
		bad(Wrong, "it is down, or has no carrier", "ip link set "+l.Name+" up; look at the cable and the switch's port")
	}
	if len(l.Own) == 0 {
		bad(Wrong, "it has no address of its own", "give it one; the VIP lives beside it")
	}
	four, six := false, false
	for _, v := range l.VIPs {
		four, six = four || v.Addr().Is4(), six || v.Addr().Is6()
		if !v.IsSingleIP() && slices.ContainsFunc(l.Own, func(o netip.Prefix) bool { return o.Masked() == v.Masked() }) && l.Sysctl["promote_secondaries"] == 0 {
			bad(Wrong, fmt.Sprintf("the VIP %s is in the network of an own address: the kernel removes it together with that one", v),
				fmt.Sprintf("write %s/%d, or %s", v.Addr(), v.Addr().BitLen(), set("promote_secondaries", 1)))
		}
	}
	if four {
		switch n := l.Sysctl["arp_ignore"]; {
		case n == 2:
			bad(Wrong, "arp_ignore is 2: the kernel answers ARP for the VIP only to hosts in its network, and a /32 has none", set("arp_ignore", 1))
		case n > 2:
			bad(Wrong, fmt.Sprintf("arp_ignore is %d: the kernel may not answer ARP for the VIP", n), set("arp_ignore", 1))
		}
		if l.Sysctl["rp_filter"] == 1 {
			bad(Note, "rp_filter is 1 (strict): clients that come by this link, while the way back to them is another one, are dropped", set("rp_filter", 2))
		}
	}
	if six && l.Sysctl["disable_ipv6"] == 1 {
		bad(Wrong, "IPv6 is disabled here, and a VIP is IPv6", "sysctl -w net.ipv6.conf."+l.Name+".disable_ipv6=0")
	}
	if all == nil {
		return one(OK, about, fmt.Sprintf("up, MTU %d, settings of the kernel fit", l.MTU), "")
	}
	return all
}

// managers looks at who else manages the links' addresses.
func managers(f Facts) []Finding {
	var all []Finding
	for _, l := range f.Links {
		if len(l.VIPs) == 0 {
			continue
		}
		if n := l.Networkd; n != nil && n.Keep != "yes" && n.Keep != "static" {
			all = append(all, Finding{Note, "systemd-networkd", fmt.Sprintf("it manages %s and removes addresses that it does not know when it is restarted or reloads; the VIP is put back within milliseconds", l.Name),
				fmt.Sprintf("KeepConfiguration=static in the section [Network] of %s", n.File)})
		}
		if l.Manager {
			all = append(all, Finding{Note, "NetworkManager", fmt.Sprintf("it manages %s and removes addresses that it does not know when the connection is activated again; the VIP is put back within milliseconds", l.Name),
				fmt.Sprintf("leave the link to its own configuration: unmanaged-devices=interface-name:%s in /etc/NetworkManager/conf.d, or do not touch it while tandem runs", l.Name)})
		}
	}
	return all
}

// claims looks at who answered for the VIPs.
func claims(f Facts) []Finding {
	var all []Finding
	for _, l := range f.Links {
		if l.AskErr != nil {
			all = append(all, Finding{Note, "link " + l.Name, "nobody was asked who answers for the VIP: " + l.AskErr.Error(), "run tandem doctor as root"})
			continue
		}
		for _, v := range l.VIPs {
			macs, asked := l.Answers[v.Addr()]
			if !asked {
				continue
			}
			all = append(all, claim(f, l, v.Addr().String(), macs))
		}
	}
	return all
}

func claim(f Facts, l Link, vip string, macs []string) Finding {
	about := "vip " + vip
	who := list(macs)
	s := f.Daemon
	switch {
	case s == nil && len(macs) == 0:
		return Finding{OK, about, "nobody answers for it", ""}
	case s == nil:
		return Finding{Note, about, who + " answers for it", "if that is no node of this cluster, the address is taken: choose another one"}
	case s.Leader == s.Node && len(macs) == 0:
		return Finding{OK, about, "held here, and nobody else answers for it", ""}
	case s.Leader == s.Node:
		return Finding{Wrong, about, "held here, and " + who + " answers for it, too", "find that host (the switch's table of addresses knows its port) and take the address from it"}
	case s.Leader == "" && len(macs) == 0:
		return Finding{Wrong, about, "nobody leads, and nobody answers for it", "tandem explain says why"}
	}
	i := slices.IndexFunc(s.Peers, func(p api.Peer) bool { return p.Name == s.Leader })
	if i < 0 {
		return Finding{Wrong, about, who + " answers for it, and none of the nodes leads", "find that host: the address is taken"}
	}
	strange := slices.DeleteFunc(slices.Clone(macs), func(m string) bool { return slices.Contains(s.Peers[i].MACs, m) })
	switch {
	case len(strange) > 0:
		return Finding{Wrong, about, fmt.Sprintf("%s leads, and %s answers for it", s.Leader, list(strange)), "if that is a router with proxy ARP, name it in vip.gateway; else find that host, and take the address from it"}
	case len(macs) == 0:
		return Finding{Wrong, about, fmt.Sprintf("%s leads, and its answer does not arrive on %s", s.Leader, l.Name), "are both in one segment (VLAN)? Does a switch's port security, or an ARP inspection, know the VIP at every node's port?"}
	}
	return Finding{OK, about, fmt.Sprintf("%s leads, and its answer arrives here", s.Leader), ""}
}

func peers(f Facts) []Finding {
	var all []Finding
	for _, p := range f.Peers {
		all = append(all, peer(f, p)...)
	}
	return all
}

func peer(f Facts, p Peer) []Finding {
	about := "peer " + p.Address.Addr().String()
	var all []Finding
	bad := func(what, do string) { all = append(all, Finding{Wrong, about, what, do}) }
	next := p.Address.Port() + 1
	if p.Gossip != nil {
		bad(fmt.Sprintf("TCP to its port %d: %v", p.Address.Port(), p.Gossip), "is tandem running there, and do firewalls let TCP and UDP of both ports pass?")
	}
	if p.Stream != nil {
		bad(fmt.Sprintf("TCP to its port %d: %v: a crash would be noticed by silence only", next, p.Stream), "let TCP to that port pass, both ways")
	}
	if p.MTU != 0 && p.OurMTU != 0 && p.MTU != p.OurMTU {
		bad(fmt.Sprintf("its link has an MTU of %d, ours %d", p.MTU, p.OurMTU), "give both the same: large packets of one of them vanish")
	}
	s := f.Daemon
	if s == nil {
		return orOK(all, about, "TCP passes")
	}
	i := slices.IndexFunc(s.Peers, func(q api.Peer) bool { return q.Address == p.Address.String() })
	if i < 0 {
		return orOK(all, about, "TCP passes")
	}
	q := s.Peers[i]
	switch {
	case q.State == api.PeerUnknown:
		bad("it was never heard", "is tandem running there, with the same key, and this node's address in its cluster.peers?")
	case q.State != api.PeerAlive:
		bad(fmt.Sprintf("it is %s", q.State), "tandem explain says since when and why")
	case !q.HearsUs:
		bad("its beats arrive, and ours do not reach it", fmt.Sprintf("let UDP to its port %d pass", next))
	}
	for _, w := range q.Paths {
		if w.Broken && q.State == api.PeerAlive {
			bad(fmt.Sprintf("the path %s to %s carries no beats", w.Bind, w.Address), "look at that cable, and at firewalls")
		}
	}
	if q.ConfigDiffers {
		bad("its configuration differs where it must be equal", "compare both files; tandem status there and here says what")
	}
	return orOK(all, about, fmt.Sprintf("TCP passes, beats pass both ways, the newest came %.0f ms ago", q.LastHeardMS))
}

func orOK(all []Finding, about, what string) []Finding {
	if all == nil {
		return one(OK, about, what, "")
	}
	return all
}
