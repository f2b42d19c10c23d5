package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Watch follows an interface by the kernel's own reports.
type Watch struct {
	links *Links
	name  string
	sub   *nl.NetlinkSocket
}

// Watch subscribes to the changes of an interface. It must be called on a thread that is in the network namespace, and Run must follow.
func (l *Links) Watch(name string) (*Watch, error) {
	sub, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the kernel's reports: %w", err)
	}
	return &Watch{links: l, name: name, sub: sub}, nil
}

// Run calls each with the state of the interface, first as it is and then after every change, until ctx is done; it returns nil then. each must not block.
func (w *Watch) Run(ctx context.Context, each func(Fact)) error {
	stop := context.AfterFunc(ctx, w.sub.Close)
	defer func() {
		if stop() {
			w.sub.Close()
		}
	}()
	f, err := w.links.Look(w.name)
	if err != nil {
		return err
	}
	each(f.clone())
	for {
		messages, _, err := w.sub.Receive()
		if ctx.Err() != nil {
			return nil
		}
		lost := errors.Is(err, unix.ENOBUFS)
		if err != nil && !lost {
			return fmt.Errorf("read the kernel's reports: %w", err)
		}
		changed := false
		for _, m := range messages {
			did, again := f.apply(m)
			changed, lost = changed || did, lost || again
		}
		if lost {
			if f, err = w.links.Look(w.name); err != nil {
				return err
			}
		}
		if changed || lost {
			each(f.clone())
		}
	}
}

// apply works one report into the fact; again asks for a fresh look at everything.
func (f *Fact) apply(m syscall.NetlinkMessage) (changed, again bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return f.applyLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return f.applyAddr(m), false
	}
	return false, false
}

func (f *Fact) applyLink(m syscall.NetlinkMessage) (changed, again bool) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return false, false
	}
	h := unix.NlMsghdr(m.Header)
	ln, err := netlink.LinkDeserialize(&h, m.Data)
	if err != nil {
		return false, true
	}
	a := ln.Attrs()
	mine := f.Index != 0 && a.Index == f.Index
	switch {
	case m.Header.Type == unix.RTM_DELLINK && mine:
		if nl.DeserializeIfInfomsg(m.Data).Family == unix.AF_BRIDGE {
			return false, false // it left a bridge
		}
		*f = Fact{Name: f.Name}
		return true, true // another one may have taken the name meanwhile
	case m.Header.Type == unix.RTM_DELLINK || nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC:
		return false, false
	case mine && a.Name != f.Name, !mine && a.Name == f.Name:
		return true, true
	case !mine:
		return false, false
	}
	now := factOf(a)
	now.Name, now.Addrs = f.Name, f.Addrs
	*f = now
	return true, false
}

func (f *Fact) applyAddr(m syscall.NetlinkMessage) bool {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return false
	}
	msg := nl.DeserializeIfAddrmsg(m.Data)
	if f.Index == 0 || int(msg.Index) != f.Index {
		return false
	}
	attrs, err := nl.ParseRouteAttr(m.Data[msg.Len():])
	if err != nil {
		return false
	}
	var local, address []byte
	flags, valid := int(msg.Flags), uint32(math.MaxUint32)
	for _, a := range attrs {
		switch {
		case a.Attr.Type == unix.IFA_LOCAL:
			local = a.Value
		case a.Attr.Type == unix.IFA_ADDRESS:
			address = a.Value
		case a.Attr.Type == unix.IFA_FLAGS && len(a.Value) >= 4:
			flags = int(nl.NativeEndian().Uint32(a.Value))
		case a.Attr.Type == unix.IFA_CACHEINFO && len(a.Value) >= unix.SizeofIfaCacheinfo:
			valid = nl.DeserializeIfaCacheInfo(a.Value).Valid
		}
	}
	if local == nil {
		local = address // IPv6
	}
	ip, ok := netip.AddrFromSlice(local)
	p := netip.PrefixFrom(ip, int(msg.Prefixlen))
	if !ok || !p.IsValid() {
		return false
	}
	if m.Header.Type == unix.RTM_DELADDR {
		f.Addrs = without(f.Addrs, p)
	} else {
		f.Addrs = with(f.Addrs, addrOf(p, flags, valid))
	}
	return true
}
