package track

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/command"
	"github.com/tandem-lb/tandem/test/lab"
)

// expect checks an error against a part of its text; "" means none.
func expect(t *testing.T, what string, err error, part string) {
	t.Helper()
	if part == "" && err != nil || part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
		t.Errorf("%s: %v, want %q", what, err, part)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("mode: active\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		i    Item
		want string
	}{
		{"there", Item{Path: file}, ""},
		{"a directory", Item{Path: dir}, ""},
		{"missing", Item{Path: file + "x"}, "is not there"},
		{"below a file", Item{Path: file + "/x"}, "is not there"},
		{"contains", Item{Path: file, Text: "active"}, ""},
		{"contains something else", Item{Path: file, Text: "passive"}, "does not contain"},
		{"no text in a directory", Item{Path: dir, Text: "x"}, "not a regular file"},
		{"a pipe without a writer", Item{Path: pipe, Text: "x"}, "not a regular file"},
		{"rightly absent", Item{Path: file + "x", Absent: true}, ""},
		{"wrongly there", Item{Path: file, Absent: true}, "is there"},
	} {
		expect(t, c.what, c.i.checkFile(), c.want)
	}
}

func TestProcesses(t *testing.T) {
	self, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(self))
	if b, err := os.ReadFile("/proc/self/cmdline"); err == nil && len(name) == 15 {
		program, _, _ := strings.Cut(string(b), "\x00")
		name = filepath.Base(program) // the kernel has cut it
	}
	write := func(text string) string {
		f := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	me := write(strconv.Itoa(os.Getpid()) + "\n")
	for _, c := range []struct {
		what string
		i    Item
		want string
	}{
		{"by name", Item{Process: name}, ""},
		{"of another name", Item{Process: "no-such-thing"}, "does not run"},
		{"of a name with the same beginning", Item{Process: "track.test-and-more"}, "does not run"},
		{"by its file", Item{PIDFile: me}, ""},
		{"by both", Item{PIDFile: me, Process: name}, ""},
		{"a file that another took", Item{PIDFile: me, Process: "postgres"}, "is "},
		{"ended", Item{PIDFile: write("4194303")}, "does not run"},
		{"no number", Item{PIDFile: write("x")}, "holds no process id"},
		{"a group", Item{PIDFile: write("-1")}, "holds no process id"},
		{"no file", Item{PIDFile: "/no/such/file"}, "no such file"},
	} {
		expect(t, c.what, c.i.checkProcess(), c.want)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1"))
	f.Add([]byte("7 (a)"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, _, ok := parseStat(b); ok && !strings.Contains(string(b), "("+name+")") {
			t.Errorf("parseStat(%q) = %q", b, name)
		}
	})
}

func TestScripts(t *testing.T) {
	script := func(s string) Item {
		return Item{Kind: Script, Command: command.Command{Argv: []string{"/bin/sh", "-c", s}}, Timeout: 200 * time.Millisecond}
	}
	for _, c := range []struct {
		what string
		i    Item
		want string
	}{
		{"success", script("echo fine"), ""},
		{"failure", script("echo no connection; exit 7"), "exit status 7: no connection"},
		{"missing", Item{Kind: Script, Timeout: time.Second, Command: command.Command{Argv: []string{"/no/such"}}}, "cannot be started"},
		{"hanging with a child", script("sleep 30 & sleep 30"), "timeout after 200ms"},
	} {
		expect(t, c.what, realCheck(c.i)(t.Context()), c.want)
	}
}

func TestLinkState(t *testing.T) {
	for _, c := range []struct {
		flags uint32
		want  string
	}{
		{unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP, ""},
		{unix.IFF_UP, "no carrier"},
		{unix.IFF_UP | unix.IFF_LOWER_UP, "no carrier"}, // dormant: 802.1X, a bond without a member
		{unix.IFF_RUNNING | unix.IFF_LOWER_UP, "down"},
	} {
		expect(t, "flags", linkState(c.flags), c.want)
	}
	expect(t, "missing", checkLink("no-such-link"), "no such interface")
	expect(t, "lo", checkLink("lo"), "")
}

func TestSource(t *testing.T) {
	addrs := []net.Addr{
		&net.IPNet{IP: net.IP{10, 0, 0, 10}, Mask: net.CIDRMask(32, 32)},
		&net.IPNet{IP: net.IP{192, 0, 2, 1}, Mask: net.CIDRMask(24, 32)},
		&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)},
		&net.IPNet{IP: net.IP{10, 0, 0, 11}, Mask: net.CIDRMask(24, 32)},
	}
	vip := netip.MustParseAddr("10.0.0.10")
	for _, c := range []struct {
		gateway, want string
		addrs         []net.Addr
	}{
		{"10.0.0.1", "10.0.0.11", addrs},
		{"172.16.0.1", "192.0.2.1", addrs},
		{"10.0.0.1", "0.0.0.0", addrs[:1]},
	} {
		got := source(c.addrs, Item{Addr: netip.MustParseAddr(c.gateway), Avoid: []netip.Addr{vip}})
		if got.String() != c.want {
			t.Errorf("source for %s = %s, want %s", c.gateway, got, c.want)
		}
	}
}

// TestGatewayIsAsked asks a real neighbour, one that is deaf, and one that is not there.
func TestGatewayIsAsked(t *testing.T) {
	l := lab.ForTest(t)
	asker, err := l.Host("asker", 11)
	if err != nil {
		t.Fatal(err)
	}
	gw, err := l.Host("gw", 1)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(i Item) (err error) {
		i.Kind = Gateway
		i = i.WithDefaults()
		doErr := asker.Do(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), i.Timeout)
			defer cancel()
			err = realCheck(i)(ctx)
			return nil
		})
		return errors.Join(err, doErr)
	}
	for _, a := range []netip.Addr{gw.Addr(), gw.Addr6()} {
		expect(t, a.String(), ask(Item{Addr: a, Link: "eth0"}), "")
		expect(t, a.String()+" by its route", ask(Item{Addr: a}), "")
	}
	expect(t, "nobody", ask(Item{Addr: lab.Addr4(99)}), "no answer on eth0 to 3 questions")
	expect(t, "nobody, IPv6", ask(Item{Addr: lab.Addr6(99), Link: "eth0"}), "no answer on eth0 to 3 questions")
	expect(t, "no interface", ask(Item{Addr: gw.Addr(), Link: "eth9"}), "interface eth9: ")
	expect(t, "no route", ask(Item{Addr: netip.MustParseAddr("192.0.2.1")}), "no route")
	f, err := l.Deafen(asker)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "deaf", ask(Item{Addr: gw.Addr()}), "no answer")
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	expect(t, "healed", ask(Item{Addr: gw.Addr()}), "")
}

// TestKernelReportsLinks: a link that goes down is reported.
func TestKernelReportsLinks(t *testing.T) {
	l := lab.ForTest(t)
	h, err := l.Host("h", 11)
	if err != nil {
		t.Fatal(err)
	}
	err = h.Do(func() error {
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		handle, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer handle.Close()
		var flapping sync.WaitGroup
		defer flapping.Wait()
		flapping.Go(func() {
			for ctx.Err() == nil { // until the subscription is there
				_ = handle.LinkSetDown(eth)
				_ = handle.LinkSetUp(eth)
			}
		})
		defer cancel()
		return watchLinks(ctx, cancel)
	})
	if err != nil {
		t.Error(err)
	}
}
