package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// NIC is a further link of a host, beside its eth0.
type NIC struct {
	Host *Host
	Link string // its name in the host, such as eth1
	MAC  net.HardwareAddr
	port string // its name in the switch
}

// NIC plugs a further link into a host: into the lab's one segment if segment is empty, else into another one of that name, which is made when it is first
// asked for. A segment of two is a cable between them. Addresses are as given, with their prefix lengths; the MAC is 02:54:4c:00:NUMBER:id, counted from 1 for each host.
// Programs may run in the host meanwhile.
func (h *Host) NIC(link, segment string, addrs ...netip.Prefix) (*NIC, error) {
	l := h.lab
	if segment == "" {
		segment = bridge
	}
	l.mu.Lock()
	number := uint8(1)
	for _, n := range l.nics {
		if n.Host == h {
			number++
		}
	}
	n := &NIC{
		Host: h, Link: link, MAC: net.HardwareAddr{0x02, 0x54, 0x4c, 0, number, h.id},
		port: fmt.Sprintf("nic%d-%d", h.id, number), // another host's name could be as long as a link's may be
	}
	l.nics = append(l.nics, n)
	l.mu.Unlock()
	err := l.sw.Do(func() error {
		if _, err := netlink.LinkByName(segment); err == nil {
			return nil
		}
		return makeBridge(segment)
	})
	if err == nil {
		err = l.lay(segment, n.port, h, link, n.MAC, func() error { return setAddrs(link, addrs) })
	}
	if err != nil {
		return nil, fmt.Errorf("plug %s of %s into %s: %w", link, h.name, segment, err)
	}
	return n, nil
}

// Pull pulls the cable at the switch: the link loses its carrier.
func (n *NIC) Pull() (*Fault, error) {
	l := n.Host.lab
	set := func(up bool) error { return l.sw.Do(func() error { return setLink(n.port, up) }) }
	return fault("plug of "+n.String()+" pulled", set(false), func() error {
		return errors.Join(set(true), l.wired(n.port, n.Host, n.Link))
	})
}

// Cut drops every frame to and from the link at the switch; its carrier stays.
func (n *NIC) Cut() (*Fault, error) {
	return n.Host.lab.drop("silent cut of "+n.String(), match{from: n.port}, match{to: n.port})
}

// Observe starts an observer at this link: see Host.Observe. own is the address that it asks from.
func (n *NIC) Observe(vip, own netip.Addr, every time.Duration) (*Observer, error) {
	return n.Host.observe(&Observer{host: n.Host, link: n.Link, mac: n.MAC, own: own, vip: vip, every: every})
}

// String is how an observer calls the link's answers.
func (n *NIC) String() string { return n.Host.name + "/" + n.Link }

// setAddrs brings a link up with addresses. It runs inside the host.
func setAddrs(name string, addrs []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for key, value := range quiet6() {
		_ = writeSysctl("ipv6/conf/"+name+"/"+key, value)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	for _, p := range addrs {
		if err := netlink.AddrReplace(link, address(p)); err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
	}
	return nil
}

// SetMAC changes the hardware address of the host's link, as a bond does when its active link fails.
func (h *Host) SetMAC(mac net.HardwareAddr) error {
	err := h.withLink(func(link netlink.Link) error { return netlink.LinkSetHardwareAddr(link, mac) })
	if err != nil {
		return fmt.Errorf("change the MAC of %s: %w", h.name, err)
	}
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	h.lab.former = append(h.lab.former, former{h, h.mac})
	h.mac = mac
	return nil
}

// former is a MAC that a host had.
type former struct {
	host *Host
	mac  net.HardwareAddr
}
