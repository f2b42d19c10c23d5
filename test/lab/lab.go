package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// files is how many descriptors a lab asks for: thousands of client connections end in this process.
const files = 65536

// The lengths of the segment's prefixes, 10.77.0.0/24 and fd77::/64.
const (
	bits4 = 24
	bits6 = 64
)

// Lab is one Ethernet segment: a switch with hosts plugged into it. It lives in network namespaces without names, which the kernel frees
// with the process, so that nothing can be left behind. All methods may be called concurrently.
type Lab struct {
	dir string
	sw  *Host // the namespace that holds the bridge

	mu     sync.Mutex // guards what follows
	hosts  []*Host
	nics   []*NIC
	former []former
	faults int // number of faults made so far; names them
	ends   []func()
	closed bool
}

// New builds a switch without hosts. Logs of the processes started in the lab go to dir, which is made if needed.
func New(dir string) (*Lab, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	raiseFiles()
	allowPriority()
	l := &Lab{dir: dir}
	sw, err := newHost(l, "switch", 0)
	if err != nil {
		return nil, err
	}
	l.sw = sw
	if err := sw.Do(func() error { return makeBridge(bridge) }); err != nil {
		sw.end()
		return nil, fmt.Errorf("make the switch: %w", err)
	}
	return l, nil
}

// Supported says whether this process may build labs, and if not, what is missing.
func Supported() error {
	err := onThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("a lab needs network namespaces: run as root, or as root of a user namespace (unshare -Urn): %w", err)
	}
	if err != nil {
		return fmt.Errorf("a lab needs network namespaces, which this kernel refuses: %w", err)
	}
	return nil
}

// raiseFiles asks for more descriptors and takes what it gets; processes started in the lab inherit them.
func raiseFiles() {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) != nil || lim.Cur >= files {
		return
	}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: max(files, lim.Max)}) != nil {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: lim.Max, Max: lim.Max})
	}
}

// allowPriority lets processes without privileges, such as a witness, run as early as tandem.service lets them (LimitNICE, LimitRTPRIO).
func allowPriority() {
	for what, most := range map[int]uint64{unix.RLIMIT_NICE: 40, unix.RLIMIT_RTPRIO: 1} {
		var lim unix.Rlimit
		if unix.Getrlimit(what, &lim) == nil && lim.Cur < most {
			_ = unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: max(most, lim.Max)}) // not permitted: they run as others do
		}
	}
}

// Dir is where the logs are.
func (l *Lab) Dir() string { return l.dir }

// Path joins elem to the lab's directory.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Host plugs a new host into the switch. Its addresses are 10.77.0.id/24 and fd77::id/64 on eth0, its MAC is 02:54:4c:00:00:id.
// The name is at most 15 letters; name and id are unique in the lab.
func (l *Lab) Host(name string, id uint8) (*Host, error) {
	h, err := newHost(l, name, id)
	if err != nil {
		return nil, err
	}
	if err := l.plug(h); err != nil {
		h.end()
		return nil, fmt.Errorf("plug %s into the switch: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts = append(l.hosts, h)
	return h, nil
}

// Hosts lists the hosts in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// NameOf names the owner of a MAC: a host's name, a NIC's, or the MAC itself when nobody's.
func (l *Lab) NameOf(mac net.HardwareAddr) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if slices.Equal(h.mac, mac) {
			return h.name
		}
	}
	for _, n := range l.nics {
		if slices.Equal(n.MAC, mac) {
			return n.String()
		}
	}
	for _, f := range l.former {
		if slices.Equal(f.mac, mac) {
			return f.host.name
		}
	}
	return mac.String()
}

// atEnd registers f to run when the lab closes, before the hosts end; last registered runs first.
func (l *Lab) atEnd(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, f)
}

// Close stops observers and clients, kills every process in the lab and lets go of the namespaces. It returns when the processes are
// gone. A second call does nothing.
func (l *Lab) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	ends, hosts := l.ends, l.hosts
	l.mu.Unlock()
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	for _, h := range hosts {
		h.Kill()
		h.end()
	}
	l.sw.end()
}

const bridge = "br0"

// makeBridge makes the bridge in the namespace of the calling thread. Without multicast snooping: a switch that forgets a group would be
// a fault that nobody asked for.
func makeBridge(name string) error {
	off := false
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &off}
	if err := netlink.LinkAdd(br); err != nil {
		return err
	}
	// The bridge must not push frames through IP hooks, nor speak itself.
	for _, path := range []string{"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables", "bridge/bridge-nf-call-arptables"} {
		_ = writeSysctl(path, "0")
	}
	_ = writeSysctl("ipv6/conf/"+name+"/disable_ipv6", "1")
	return netlink.LinkSetUp(br)
}

// plug lays a cable for a host's eth0, whose port has the name of the host.
func (l *Lab) plug(h *Host) error { return l.lay(bridge, h.name, h, eth, h.mac, h.configure) }

// lay lays a cable: a veth pair with one end, the port, in a bridge of the switch, and the other, the link, in the host.
func (l *Lab) lay(segment, port string, h *Host, link string, mac net.HardwareAddr, configure func() error) error {
	// The host's end comes up first: the bridge then finds a carrier when the port does, and forwards at once.
	err := l.sw.Do(func() error {
		br, err := netlink.LinkByName(segment)
		if err != nil {
			return err
		}
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: port, MasterIndex: br.Attrs().Index})
		veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr = link, netlink.NsFd(h.ns), mac
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return writeSysctl("ipv6/conf/"+port+"/disable_ipv6", "1")
	})
	if err != nil {
		return err
	}
	if err := h.Do(configure); err != nil {
		return err
	}
	if err := l.sw.Do(func() error { return setLink(port, true) }); err != nil {
		return err
	}
	return l.wired(port, h, link)
}

// wired waits until frames pass: the kernel starts a link's queue a moment after it has found its carrier.
func (l *Lab) wired(port string, h *Host, link string) error {
	ends := []struct {
		host *Host
		link string
	}{{l.sw, port}, {h, link}}
	for _, wait := range []bool{false, true} {
		for _, end := range ends {
			down := false
			err := end.host.Do(func() (err error) {
				if wait {
					return awaitUp(end.link)
				}
				down, err = isDown(end.link)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s of %s: %w", end.link, end.host.name, err)
			}
			if down {
				return nil // another fault holds that end down
			}
		}
	}
	return nil
}

// isDown reports whether the link was set down. It runs inside the host.
func isDown(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false, err
	}
	return link.Attrs().Flags&net.FlagUp == 0, nil
}

// awaitUp waits for the link to be operational. It runs inside the host.
func awaitUp(name string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the link is %s, not up, after 5s", link.Attrs().OperState)
		}
	}
}
