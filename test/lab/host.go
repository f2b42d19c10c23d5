package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// eth is the name of every host's link.
const eth = "eth0"

// errEnded says that the lab was closed.
var errEnded = errors.New("the lab is closed")

// Host is a network namespace with one link, eth0, plugged into the lab's switch. All methods may be called concurrently.
type Host struct {
	lab  *Lab
	name string
	id   uint8
	mac  net.HardwareAddr // guarded by lab.mu
	ns   int              // descriptor of the namespace

	// starts carries functions to the host's own thread. Processes are started there and nowhere else: Pdeathsig fires when the *thread*
	// that forked ends, so that thread has to live as long as the host does.
	starts  chan func()
	quit    chan struct{} // closed by end
	endOnce sync.Once

	mu     sync.Mutex // guards what follows
	procs  []*Proc
	pauses []*group // the pauses that have not ended
}

func newHost(l *Lab, name string, id uint8) (*Host, error) {
	if name == "" || len(name) > 15 {
		return nil, fmt.Errorf("host name %q: 1 to 15 letters are allowed, it also names the port of the switch", name)
	}
	h := &Host{
		lab: l, name: name, id: id, mac: net.HardwareAddr{0x02, 0x54, 0x4c, 0, 0, id},
		starts: make(chan func()), quit: make(chan struct{}),
	}
	ready := make(chan error)
	throwaway(func() { h.thread(ready) })
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make the namespace of %s: %w", name, err)
	}
	return h, nil
}

// thread is the host's own thread: it makes the namespace and then starts processes in it. When it ends the kernel kills the processes
// started from it.
func (h *Host) thread(ready chan<- error) {
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		h.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-h.starts:
			f()
		case <-h.quit:
			return
		}
	}
}

// end lets go of the namespace.
func (h *Host) end() {
	h.endOnce.Do(func() {
		close(h.quit)
		_ = unix.Close(h.ns)
	})
}

// Do runs f on a thread of its own inside the host and returns its error. Sockets opened by f itself stay in the host; goroutines that f
// starts do not.
func (h *Host) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(h.ns, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the namespace of %s: %w", h.name, err)
		}
		return f()
	})
}

// onThread runs f on a thread that is thrown away afterwards, so that f may change its namespaces.
func onThread(f func() error) error {
	done := make(chan error, 1)
	throwaway(func() {
		err := errors.New("ended by runtime.Goexit")
		defer func() { done <- err }()
		err = f()
	})
	return <-done
}

// throwaway runs f in a goroutine whose thread ends with it. The process's first thread cannot end, the runtime parks it for ever, with the
// namespace that it is in: while it is held, another thread does the work.
func throwaway(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked, so that the runtime discards the thread
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		begun := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(begun)
			f()
		}()
		<-begun
		runtime.UnlockOSThread()
	}()
}

// Start starts cmd in the host; standard output and error are appended to NAME.log in the lab's directory unless cmd has its own. The
// process dies with the lab, however the lab ends.
func (h *Host) Start(name string, cmd *exec.Cmd) (*Proc, error) {
	log, err := os.OpenFile(h.lab.Path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the lab, which decides what becomes of its processes
	failed := make(chan error, 1)
	select {
	case h.starts <- func() { failed <- cmd.Start() }:
	case <-h.quit:
		return nil, errEnded
	}
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", name, h.name, err)
	}
	p := &Proc{cmd: cmd, Name: name, Log: log.Name(), done: make(chan struct{})}
	go p.reap()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs = append(h.procs, p)
	return p, nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.name }

// Link is the name of the host's link.
func (h *Host) Link() string { return eth }

// MAC is the hardware address of the host's link.
func (h *Host) MAC() net.HardwareAddr {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return h.mac
}

// Addr is the host's IPv4 address.
func (h *Host) Addr() netip.Addr { return Addr4(h.id) }

// Addr6 is the host's IPv6 address.
func (h *Host) Addr6() netip.Addr { return Addr6(h.id) }

// Addr4 is the segment's IPv4 address number id.
func Addr4(id uint8) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, 0, id})
}

// Addr6 is the segment's IPv6 address number id; the number reads the same in decimal as in the address.
func Addr6(id uint8) netip.Addr {
	a, err := netip.ParseAddr(fmt.Sprintf("fd77::%d", id))
	if err != nil {
		panic(err) // cannot be reached: every number is a group of an address
	}
	return a
}

// configure gives the host its addresses. It runs inside the host. Duplicate address detection is off: it would keep every IPv6 address
// silent for the first second.
func (h *Host) configure() error {
	for _, conf := range []string{"all", "default", eth} {
		for key, value := range quiet6() {
			_ = writeSysctl("ipv6/conf/"+conf+"/"+key, value)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return h.up()
}

// quiet6 is what keeps IPv6 from waiting and asking.
func quiet6() map[string]string {
	return map[string]string{"accept_dad": "0", "dad_transmits": "0", "accept_ra": "0", "router_solicitations": "0"}
}

// up sets the link up and puts back what a link that was down has lost. It runs inside the host.
func (h *Host) up() error {
	link, err := netlink.LinkByName(eth)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", eth, err)
	}
	for _, p := range []netip.Prefix{netip.PrefixFrom(h.Addr(), bits4), netip.PrefixFrom(h.Addr6(), bits6)} {
		if err := netlink.AddrReplace(link, address(p)); err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
	}
	return nil
}

// AddAddr adds an address to the host's link, silently. Prefix lengths are as given.
func (h *Host) AddAddr(p netip.Prefix) error {
	return h.withLink(func(link netlink.Link) error { return netlink.AddrReplace(link, address(p)) })
}

// DelAddr removes an address from the host's link, as an operator would by hand.
func (h *Host) DelAddr(p netip.Prefix) error {
	return h.withLink(func(link netlink.Link) error { return netlink.AddrDel(link, address(p)) })
}

// Addrs lists the addresses of the host's link, without link-local ones.
func (h *Host) Addrs() ([]netip.Prefix, error) {
	var out []netip.Prefix
	err := h.withLink(func(link netlink.Link) error {
		list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		for _, a := range list {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok || ip.IsLinkLocalUnicast() {
				continue
			}
			bits, _ := a.Mask.Size()
			out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
		}
		return err
	})
	return out, err
}

func (h *Host) withLink(f func(netlink.Link) error) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(eth)
		if err != nil {
			return err
		}
		return f(link)
	})
}

func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// writeSysctl writes below /proc/sys/net in the namespace of the calling thread.
func writeSysctl(path, value string) error {
	return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)
}

// Sysctl writes value to path below /proc/sys/net of the host, for example "ipv4/ip_nonlocal_bind".
func (h *Host) Sysctl(path, value string) error {
	return h.Do(func() error { return writeSysctl(path, value) })
}
