package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lb/tandem/test/lab"
)

// second is the name of a second link.
const second = "eth1"

// twice hangs a leader that has a second link on the same segment: Linux answers for an address on all its links.
func twice(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	if _, err := leader.NIC(second, ""); err != nil {
		return result{}, err
	}
	names := []string{leader.Name(), leader.Name() + "/" + second}
	if err := b.hears(ctx, names[1]); err != nil {
		return result{}, err
	}
	from := time.Now()
	b.pair.StopNode(leader.Index)
	if err := sleep(ctx, time.Second); err != nil {
		return result{}, err
	}
	v := b.pair.Watch.View(from, time.Now())
	r := result{Holders: v.String(), Lapse: lapse(v, from, names...)}
	b.pair.KillNode(leader.Index)
	return r, errors.Join(remove(leader.Host), b.restart(ctx, leader))
}

// routed pulls the leader's plug beside a router that answers ARP for whatever it would forward. Clients cannot be asked here: the router answers
// them, too.
func routed(ctx context.Context, b *bench, _ int) (result, error) {
	leader, err := b.pair.WaitLeader(ctx)
	if err != nil {
		return result{}, err
	}
	g, other := b.pair.Gateway, b.pair.Other(leader).Name()
	if err := proxyARP(g, b.pair.VIP); err != nil {
		return result{}, err
	}
	if err := b.hears(ctx, g.Name()); err != nil {
		return result{}, err
	}
	from := time.Now()
	f, err := b.pair.PullAtSwitch(leader.Host)
	if err != nil {
		return result{}, err
	}
	err = b.hears(ctx, other)
	v := b.pair.Watch.View(from, time.Now())
	r := result{Holders: v.String(), Claimed: ms(time.Since(from))}
	for _, c := range v.Changes {
		if slices.Contains(c.Who, other) {
			r.Claimed = ms(c.At.Sub(from))
			break
		}
	}
	return r, errors.Join(err, remove(g), g.Sysctl("ipv4/conf/eth0/proxy_arp", "0"), f.Heal(), sleep(ctx, b.system.settle))
}

func proxyARP(g *lab.Host, vip netip.Addr) error {
	if _, err := g.NIC(second, "elsewhere", netip.MustParsePrefix("10.80.0.1/24")); err != nil {
		return err
	}
	for _, s := range [][2]string{{"ipv4/ip_forward", "1"}, {"ipv4/conf/eth0/proxy_arp", "1"}, {"ipv4/neigh/eth0/proxy_delay", "0"}} {
		if err := g.Sysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	return g.Do(func() error {
		link, err := netlink.LinkByName(second)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: netlink.NewIPNet(vip.AsSlice())})
	})
}

// remove takes the second link away.
func remove(h *lab.Host) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(second)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

// hears waits until somebody answers, alone or not.
func (b *bench) hears(parent context.Context, who string) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	if _, err := b.pair.Watch.Wait(ctx, func(all []string) bool { return slices.Contains(all, who) }); err != nil {
		return fmt.Errorf("wait for an answer of %s: %w", who, err)
	}
	return nil
}
