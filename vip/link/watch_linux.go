package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"syscall"

	attributes "github.com/mdlayher/netlink" // its decoder does not trust lengths
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
		messages, from, err := w.sub.Receive()
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && from.Pid != 0 {
			continue // not from the kernel
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
			by := f.Remover
			if f, err = w.links.Look(w.name); err != nil {
				return err
			}
			f.Remover = by
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
	// struct ifinfomsg: family, pad, type (2 bytes), index, flags, change.
	index := int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	if m.Data[0] != unix.AF_UNSPEC {
		return false, false // of a bridge, or of IPv6
	}
	mine := f.Index != 0 && index == f.Index
	if m.Header.Type == unix.RTM_DELLINK {
		if mine {
			*f = Fact{Name: f.Name}
		}
		return mine, mine // another one may have taken the name meanwhile
	}
	attrs, err := attributes.NewAttributeDecoder(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return false, false
	}
	var name string
	mac := f.MAC // some reports, as those of wireless drivers, do not tell everything
	for attrs.Next() {
		switch attrs.Type() {
		case unix.IFLA_IFNAME:
			name = attrs.String()
		case unix.IFLA_ADDRESS:
			mac = attrs.Bytes()
		}
	}
	switch {
	case attrs.Err() != nil:
		return false, false
	case mine != (name == f.Name):
		return true, true // renamed, or a new one of that name
	case !mine:
		return false, false
	}
	f.MAC = mac
	f.setFlags(flags)
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
	attrs, err := attributes.NewAttributeDecoder(m.Data[msg.Len():])
	if err != nil {
		return false
	}
	var local, address []byte
	flags, valid := int(msg.Flags), uint32(math.MaxUint32)
	for attrs.Next() {
		switch attrs.Type() {
		case unix.IFA_LOCAL:
			local = attrs.Bytes()
		case unix.IFA_ADDRESS:
			address = attrs.Bytes()
		case unix.IFA_FLAGS:
			flags = int(attrs.Uint32())
		case unix.IFA_CACHEINFO:
			if b := attrs.Bytes(); len(b) >= unix.SizeofIfaCacheinfo {
				valid = binary.NativeEndian.Uint32(b[4:]) // after the preferred lifetime
			}
		}
	}
	if attrs.Err() != nil {
		return false
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
		f.Addrs, f.Remover = without(f.Addrs, p), processOf(m.Header.Pid)
	} else {
		f.Addrs = with(f.Addrs, addrOf(p, flags, valid))
	}
	return true
}
