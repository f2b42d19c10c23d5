package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

const (
	dialTime = 2 * time.Second
	// askTime is how long answers to ARP probes are waited for; asked three times, as a claim does.
	askTime = 300 * time.Millisecond
	askStep = 50 * time.Millisecond
)

// Gather finds out what Examine needs to know, and puts it into f, of which File, Config, Warnings, Daemon and DaemonErr are set. It changes nothing on
// this host, and takes some 2 s at most.
func Gather(ctx context.Context, f *Facts) {
	root := os.DirFS("/")
	if f.Daemon != nil {
		f.Files, f.Caps = process(root, f.Daemon.PID)
	}
	f.Nftables = nftables(f.Config.Node)
	f.Clock = clockSynchronised()
	names := map[string][]netip.Prefix{}
	if !f.Config.Cluster.Witness {
		for _, l := range f.Config.VIP.Links() {
			names[l.Interface] = l.Addresses
		}
	}
	if n := interfaceOf(f.Config.Cluster.Bind.Addr()); n != "" && names[n] == nil {
		names[n] = nil
	}
	var all sync.WaitGroup
	var mu sync.Mutex // guards f
	for name, vips := range names {
		all.Go(func() {
			l := look(ctx, root, name, vips)
			mu.Lock()
			defer mu.Unlock()
			f.Links = append(f.Links, l)
		})
	}
	ours := mtuOf(f.Config.Cluster.Bind.Addr())
	for _, a := range f.Config.Cluster.Peers {
		all.Go(func() {
			p := Peer{Address: a, OurMTU: ours}
			p.MTU, p.Gossip = connect(ctx, a)
			_, p.Stream = connect(ctx, netip.AddrPortFrom(a.Addr(), a.Port()+1))
			mu.Lock()
			defer mu.Unlock()
			f.Peers = append(f.Peers, p)
		})
	}
	all.Wait()
	slices.SortFunc(f.Links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Peers, func(a, b Peer) int { return a.Address.Compare(b.Address) })
}

// process reads what a process may do.
func process(root fs.FS, pid int) (files uint64, caps error) {
	const want = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	status, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/status", pid))
	if err != nil {
		caps = err
	} else if has, err := strconv.ParseUint(field(string(status), "CapEff:"), 16, 64); err != nil {
		caps = fmt.Errorf("the capabilities of process %d: %w", pid, err)
	} else if has&want != want {
		caps = fmt.Errorf("process %d lacks CAP_NET_ADMIN or CAP_NET_RAW", pid)
	}
	limits, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/limits", pid))
	if err != nil {
		return 0, caps
	}
	words := strings.Fields(field(string(limits), "Max open files"))
	if len(words) > 0 {
		files, _ = strconv.ParseUint(words[0], 10, 64) // "unlimited" is as good as not known
	}
	return files, caps
}

// field is the rest of the line that begins with name.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// nftables asks for tables, which is refused without the kernel's part, or without rights.
func nftables(node string) error {
	g, err := fence.New(node, []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})}, time.Second)
	if err != nil {
		return err
	}
	defer g.Close()
	if err := g.Check(); err != nil && !errors.Is(err, fence.ErrGone) {
		return err
	}
	return nil
}

func clockSynchronised() error {
	state, err := unix.Adjtimex(new(unix.Timex))
	if err != nil {
		return fmt.Errorf("ask the kernel about its clock: %w", err)
	}
	if state == unix.TIME_ERROR {
		return errors.New("nothing synchronises it")
	}
	return nil
}

func look(ctx context.Context, root fs.FS, name string, vips []netip.Prefix) Link {
	l := Link{Name: name, VIPs: vips}
	i, err := net.InterfaceByName(name)
	if err != nil {
		l.Err = err
		return l
	}
	links, err := link.Open()
	if err != nil {
		l.Err = err
		return l
	}
	defer links.Close()
	fact, err := links.Look(name)
	if err != nil {
		l.Err = err
		return l
	}
	l.Up, l.MTU = fact.Up && fact.Carrier, i.MTU
	for _, a := range fact.Addrs {
		if !slices.ContainsFunc(vips, func(v netip.Prefix) bool { return v.Addr() == a.Prefix.Addr() }) && !a.Prefix.Addr().IsLinkLocalUnicast() {
			l.Own = append(l.Own, a.Prefix)
		}
	}
	l.Sysctl = sysctls(root, name)
	l.Networkd, l.Manager = managed(root, i.Index)
	l.Answers, l.AskErr = ask(ctx, fact, vips)
	return l
}

// sysctls reads those that matter, as the kernel combines those of the link with those of all.
func sysctls(root fs.FS, name string) map[string]int {
	read := func(path string) int {
		b, err := fs.ReadFile(root, "proc/sys/net/"+path)
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(b))) // the kernel writes numbers
		return n
	}
	m := map[string]int{"disable_ipv6": read("ipv6/conf/" + name + "/disable_ipv6")}
	for _, s := range []string{"arp_ignore", "rp_filter", "promote_secondaries"} {
		m[s] = max(read("ipv4/conf/"+name+"/"+s), read("ipv4/conf/all/"+s))
	}
	return m
}

// managed says who else manages a link. Both leave a file for each link that they manage.
func managed(root fs.FS, index int) (n *Networkd, manager bool) {
	if b, err := fs.ReadFile(root, fmt.Sprintf("run/NetworkManager/devices/%d", index)); err == nil {
		manager = strings.Contains(string(b), "managed=true") || strings.Contains(string(b), "connection-uuid=")
	}
	b, err := fs.ReadFile(root, fmt.Sprintf("run/systemd/netif/links/%d", index))
	if err != nil {
		return nil, manager
	}
	file := field(string(b), "NETWORK_FILE=")
	if file == "" {
		return nil, manager
	}
	n = &Networkd{File: file}
	paths := append([]string{file}, strings.Fields(strings.Trim(field(string(b), "NETWORK_FILE_DROPINS="), `"`))...)
	for _, p := range paths {
		if text, err := fs.ReadFile(root, strings.TrimPrefix(p, "/")); err == nil {
			if k := field(string(text), "KeepConfiguration="); k != "" {
				n.Keep = k
			}
		}
	}
	return n, manager
}

// ask asks the wire who has the addresses, in a way that changes no neighbour's cache.
func ask(ctx context.Context, f link.Fact, vips []netip.Prefix) (map[netip.Addr][]string, error) {
	if len(vips) == 0 {
		return nil, nil
	}
	mac, ok := announce.MACOf(f.MAC)
	if !ok {
		return nil, errors.New("it is no Ethernet link")
	}
	port, err := announce.Listen(f.Index, true)
	if err != nil {
		return nil, err
	}
	defer port.Close()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	own := macs()
	var frames [][]byte
	var mu sync.Mutex // guards answers: ARP and ND come by two goroutines
	answers := map[netip.Addr][]string{}
	for _, v := range vips {
		a := v.Addr()
		if a.Is4() {
			frames = append(frames, announce.Ask(announce.Broadcast(), mac, netip.IPv4Unspecified(), a))
		} else if own, ok := f.Own(a, []netip.Addr{a}); ok {
			frames = append(frames, announce.Solicit(mac, own, a, announce.MAC{}))
		} else {
			continue
		}
		answers[a] = []string{}
	}
	var errs []error
	var asking sync.WaitGroup
	asking.Go(func() {
		for range 3 {
			for _, frame := range frames {
				errs = append(errs, port.Send(frame))
			}
			select {
			case <-ctx.Done():
			case <-time.After(askStep):
			}
		}
	})
	err = port.Receive(ctx, func(frame []byte) {
		c, err := announce.Parse(frame)
		if err != nil || !c.Reply || slices.Contains(own, c.MAC.String()) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if macs, asked := answers[c.Addr]; asked && !slices.Contains(macs, c.MAC.String()) {
			answers[c.Addr] = append(macs, c.MAC.String())
		}
	})
	asking.Wait()
	if err != nil {
		errs = append(errs, err)
	}
	return answers, errors.Join(errs...)
}

// connect opens a TCP connection, closes it, and says what size of packets it agreed on.
func connect(ctx context.Context, to netip.AddrPort) (mtu int, err error) {
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return 0, short(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	const headers4, headers6, options = 40, 60, 12 // of IP and TCP; timestamps
	err = raw.Control(func(fd uintptr) {
		info, errno := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if errno != nil {
			return
		}
		mtu = int(info.Snd_mss) + headers4
		if to.Addr().Is6() {
			mtu = int(info.Snd_mss) + headers6
		}
		if info.Options&1 != 0 { // TCPI_OPT_TIMESTAMPS
			mtu += options
		}
	})
	return mtu, err
}

// short leaves out the addresses, which are told beside it.
func short(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		if e.Timeout() {
			return errors.New("no answer")
		}
		return e.Err
	}
	return err
}

// macs are those of this host: another link of it may answer, too.
func macs() []string {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var macs []string
	for _, i := range all {
		macs = append(macs, i.HardwareAddr.String())
	}
	return macs
}

// interfaceOf names the interface that has an address; empty: none.
func interfaceOf(a netip.Addr) string {
	if i := holding(a); i != nil {
		return i.Name
	}
	return ""
}

func mtuOf(a netip.Addr) int {
	if i := holding(a); i != nil {
		return i.MTU
	}
	return 0
}

func holding(a netip.Addr) *net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, x := range addrs {
			if p, ok := x.(*net.IPNet); ok && p.IP.Equal(a.AsSlice()) {
				return &i
			}
		}
	}
	return nil
}
