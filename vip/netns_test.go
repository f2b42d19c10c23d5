package vip_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
)

// A kernel is two network namespaces and a cable: the node under test, and a host that watches it.
type kernel struct {
	t          *testing.T
	node, peer netns.NsHandle
	nodeMAC    net.HardwareAddr
	peerMAC    net.HardwareAddr
	port       *announce.Port
	mu         sync.Mutex
	heard      []announce.Claim
}

func newKernel(t *testing.T) *kernel {
	t.Helper()
	k := &kernel{t: t}
	var err error
	own(func() {
		if k.node, err = netns.New(); err == nil {
			k.peer, err = netns.New()
		}
	})
	if err != nil {
		if os.Getenv("TANDEM_NEED_ROOT") == "1" {
			t.Fatalf("network namespaces are needed: %v", err)
		}
		t.Skipf("network namespaces are needed (run as root): %v", err)
	}
	t.Cleanup(func() { _, _ = k.node.Close(), k.peer.Close() })
	// The kernel holds back reports of a lost carrier for up to a second, unless the two ends of a cable have different numbers.
	k.in(k.peer, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "spare0"}, PeerName: "spare1"})
	})
	k.cable("eth0")
	k.nodeMAC = k.addrs(k.node, "eth0", "10.9.0.1/24", "fd00:9::1/64")
	k.addrs(k.peer, "eth0", "10.9.0.2/24", "fd00:9::2/64")
	k.listen("eth0")
	return k
}

// own runs f on a thread of its own, which ends with it: it may be moved to another namespace.
func own(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

func (k *kernel) in(ns netns.NsHandle, f func() error) {
	k.t.Helper()
	var err error
	own(func() {
		if err = netns.Set(ns); err == nil {
			err = f()
		}
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kernel) cable(name string) {
	k.t.Helper()
	k.in(k.node, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(k.peer)})
	})
}

// addrs brings a link up, with addresses that are usable at once.
func (k *kernel) addrs(ns netns.NsHandle, name string, addrs ...string) (mac net.HardwareAddr) {
	k.t.Helper()
	k.in(ns, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		ln, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		mac = ln.Attrs().HardwareAddr
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			if addr.IP.To4() == nil {
				addr.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(ln, addr); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(ln)
	})
	return mac
}

// listen watches a cable from the peer's end.
func (k *kernel) listen(name string) {
	k.t.Helper()
	k.in(k.peer, func() error {
		ln, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		k.peerMAC = ln.Attrs().HardwareAddr
		k.port, err = announce.Listen(ln.Attrs().Index, true)
		return err
	})
	port := k.port
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = port.Receive(ctx, func(frame []byte) {
			if c, err := announce.Parse(frame); err == nil {
				k.mu.Lock()
				k.heard = append(k.heard, c)
				k.mu.Unlock()
			}
		})
	})
	k.t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = port.Close()
	})
}

func mac(h net.HardwareAddr) announce.MAC {
	m, _ := announce.MACOf(h)
	return m
}

// patience is how long a kernel may take to answer, on a machine that does other things.
const patience = 30 * time.Millisecond

// answers asks for an address by ARP or ND, and returns whether the node answers.
func (k *kernel) answers(a netip.Addr) bool {
	k.t.Helper()
	k.mu.Lock()
	k.heard = nil
	k.mu.Unlock()
	frame := announce.Solicit(mac(k.peerMAC), netip.MustParseAddr("fd00:9::2"), a, announce.MAC{})
	if a.Is4() {
		frame = announce.Ask(announce.Broadcast(), mac(k.peerMAC), netip.MustParseAddr("10.9.0.2"), a)
	}
	var asked time.Time
	return k.until(patience, func() bool {
		if time.Since(asked) > patience/3 {
			if err := k.port.Send(frame); err != nil {
				k.t.Fatal(err)
			}
			asked = time.Now()
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, c := range k.heard {
			if c.Reply && c.Addr == a && c.MAC != mac(k.peerMAC) {
				return true
			}
		}
		return false
	})
}

// until waits for the kernel, which no test bubble contains.
func (k *kernel) until(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// serves knocks at a port of the node: a refusal is an answer, too.
func (k *kernel) serves(a netip.Addr) bool {
	k.t.Helper()
	mine := netip.MustParseAddr("10.9.0.2")
	if a.Is6() {
		mine = netip.MustParseAddr("fd00:9::2")
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	got, err := k.port.Knock(ctx, mac(k.nodeMAC), mac(k.peerMAC), mine, netip.AddrPortFrom(a, 9))
	if err != nil {
		k.t.Fatal(err)
	}
	return got != announce.NoAnswer
}

func (k *kernel) carrier(up bool) { k.carrierOf("eth0", up) }

// second lays another cable. Nobody listens on it.
func (k *kernel) second() vip.Link {
	k.cable("eth1")
	k.addrs(k.node, "eth1", "10.10.0.1/24")
	k.addrs(k.peer, "eth1", "10.10.0.2/24")
	return secondLink()
}

func (k *kernel) removeLink(link string) {
	k.t.Helper()
	k.in(k.node, func() error {
		ln, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		return netlink.LinkDel(ln)
	})
}

func (k *kernel) carrierOf(link string, up bool) {
	k.t.Helper()
	k.in(k.peer, func() error {
		ln, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(ln)
		}
		return netlink.LinkSetDown(ln)
	})
}

func (k *kernel) remove(p netip.Prefix) {
	k.t.Helper()
	k.change(k.node, p, netlink.AddrDel)
}

func (k *kernel) change(ns netns.NsHandle, p netip.Prefix, f func(netlink.Link, *netlink.Addr) error) {
	k.t.Helper()
	k.in(ns, func() error {
		ln, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return f(ln, a)
	})
}

func (k *kernel) flush(node string) {
	k.t.Helper()
	k.in(k.node, func() error {
		_, err := fence.Remove(node)
		return err
	})
}

// has lists the node's addresses.
func (k *kernel) has(p netip.Prefix) bool {
	k.t.Helper()
	found := false
	k.in(k.node, func() error {
		addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		for _, a := range addrs {
			ip, _ := netip.AddrFromSlice(a.IP)
			found = found || ip.Unmap() == p.Addr()
		}
		return err
	})
	return found
}

// run starts a keeper in the node's namespace, in the way that its documentation asks for.
func (k *kernel) run(cfg vip.Config, log hclog.Logger) (keeper *vip.Keeper, stop func() error) {
	k.t.Helper()
	ready, ended := make(chan error, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		runtime.LockOSThread() // for ever: the thread ends in the node's namespace
		err := netns.Set(k.node)
		var sys vip.System
		if err == nil {
			sys, err = vip.Open(cfg, log)
		}
		if err == nil {
			keeper, err = vip.New(cfg, sys, log)
		}
		ready <- err
		if err == nil {
			ended <- keeper.Run(ctx)
		}
	}()
	if err := <-ready; err != nil {
		k.t.Fatal(err)
	}
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	k.t.Cleanup(func() { _ = stop() })
	return keeper, stop
}

func config(t *testing.T) vip.Config {
	return vip.Config{
		Interface: "eth0", Node: "lb1", RunDir: filepath.Join(t.TempDir(), "run"),
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.10/32"), netip.MustParsePrefix("2001:db8::10/128")},
		Failover:  400 * time.Millisecond, Lease: 2 * time.Second, Refresh: -1,
	}
}

// leave puts an address on the node's link, as a daemon that crashed or an administrator would.
func (k *kernel) leave(p netip.Prefix, permanent bool) {
	k.t.Helper()
	k.change(k.node, p, func(ln netlink.Link, a *netlink.Addr) error {
		if !permanent {
			a.ValidLft, a.PreferedLft = 30, 30
		}
		return netlink.AddrAdd(ln, a)
	})
}

// gated says whether the tables of the gate are there.
func (k *kernel) gated(cfg vip.Config) (there bool) {
	k.t.Helper()
	k.in(k.node, func() error {
		g, err := fence.New(cfg.Node, []netip.Addr{cfg.Addresses[0].Addr()}, cfg.Failover)
		if err != nil {
			return err
		}
		there = g.Check() == nil
		return g.Close()
	})
	return there
}
