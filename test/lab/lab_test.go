package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// segment is a lab with two hosts that talk, a third that both know, and a client on the first asking a backend on the second.
type segment struct {
	*Lab
	a, b, c *Host
	backend *Backend
	client  *Client
}

func newSegment(t *testing.T) *segment {
	t.Helper()
	s := &segment{Lab: ForTest(t)}
	s.a, s.b, s.c = mustHost(t, s.Lab, "a", 11), mustHost(t, s.Lab, "b", 12), mustHost(t, s.Lab, "c", 13)
	var err error
	if s.backend, err = s.b.Backend(); err != nil {
		t.Fatal(err)
	}
	if s.client, err = s.a.Client(s.backend.Addr(), 5*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustHost(t *testing.T, l *Lab, name string, id uint8) *Host {
	t.Helper()
	h, err := l.Host(name, id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// during runs the fault for a while and returns what the client saw of the attempts that began in it.
func (s *segment) during(t *testing.T, d time.Duration, fault func() (*Fault, error)) Report {
	t.Helper()
	f, err := fault()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	time.Sleep(d)
	to := time.Now()
	time.Sleep(Patience + 50*time.Millisecond)
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	return s.client.Report(from, to)
}

// asks lists who answers when a host asks for an address.
func (s *segment) asks(t *testing.T, from *Host, target netip.Addr) []string {
	t.Helper()
	o, err := from.Observe(target, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Stop()
	begin := time.Now()
	time.Sleep(60 * time.Millisecond)
	return o.View(begin, time.Now()).Holders()
}

func TestClientGetsAnswersThroughTheSwitch(t *testing.T) {
	s := newSegment(t)
	from := time.Now()
	time.Sleep(500 * time.Millisecond)
	r := s.client.Report(from, time.Now())
	if r.Attempts < 90 || r.Failed > 0 {
		t.Fatalf("client saw %s, want about 100 answers", r)
	}
	if by := s.client.Attempts(from, time.Now())[0].By; by != "b" {
		t.Errorf("answered by %q, want b", by)
	}
}

func TestFaultsThatCutBothWaysStopTheClientAndHeal(t *testing.T) {
	s := newSegment(t)
	for _, c := range []struct {
		name  string
		fault func() (*Fault, error)
	}{
		{"plug pulled at the switch", func() (*Fault, error) { return s.PullAtSwitch(s.b) }},
		{"plug pulled at the host", func() (*Fault, error) { return s.PullAtHost(s.b) }},
		{"silent cut", func() (*Fault, error) { return s.SilentCut(s.b) }},
		{"deaf", func() (*Fault, error) { return s.Deafen(s.b) }},
		{"mute", func() (*Fault, error) { return s.Mute(s.b) }},
		{"cut between", func() (*Fault, error) { return s.CutBetween(s.a, s.b) }},
		{"one way there", func() (*Fault, error) { return s.CutOneWay(s.a, s.b) }},
		{"one way back", func() (*Fault, error) { return s.CutOneWay(s.b, s.a) }},
		{"IP filtered", func() (*Fault, error) { return s.FilterIP(s.a, s.b) }},
		{"partition", func() (*Fault, error) { return s.Partition([]*Host{s.a, s.c}, []*Host{s.b}) }},
	} {
		r := s.during(t, 150*time.Millisecond, c.fault)
		if r.Attempts < 20 || r.Failed != r.Attempts {
			t.Errorf("%s: %s, want none to succeed", c.name, r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		p := &Pair{}
		if err := p.WaitServed(ctx, s.client, 100*time.Millisecond); err != nil {
			t.Errorf("%s: not healed: %v", c.name, err)
		}
		cancel()
	}
}

func TestFaultBetweenTwoLeavesTheThirdAlone(t *testing.T) {
	s := newSegment(t)
	f, err := s.CutBetween(s.a, s.b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from *Host
		to   *Host
		want []string
	}{
		{s.a, s.b, nil}, {s.b, s.a, nil}, {s.a, s.c, []string{"c"}}, {s.b, s.c, []string{"c"}}, {s.c, s.b, []string{"b"}},
	} {
		if got := s.asks(t, c.from, c.to.Addr()); !slices.Equal(got, c.want) {
			t.Errorf("%s asks for %s: %v, want %v", c.from.Name(), c.to.Name(), got, c.want)
		}
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	if got := s.asks(t, s.a, s.b.Addr()); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after the heal a asks for b: %v", got)
	}
}

func TestOneWayCutDropsOneDirectionOnly(t *testing.T) {
	s := newSegment(t)
	if _, err := s.CutOneWay(s.a, s.c); err != nil {
		t.Fatal(err)
	}
	heard := func(from, at *Host) bool {
		o, err := at.Observe(Addr4(99), 5*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Stop()
		begin := time.Now()
		time.Sleep(20 * time.Millisecond)
		if err := from.Announce(Addr4(99)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		return len(o.Announcements(begin, time.Now())) > 0
	}
	if heard(s.a, s.c) {
		t.Error("c heard a, which was cut")
	}
	if !heard(s.c, s.a) {
		t.Error("a did not hear c, which was not cut")
	}
}

func TestFilteredIPLetsARPAndNeighbourDiscoveryPass(t *testing.T) {
	s := newSegment(t)
	if _, err := s.FilterIP(s.a, s.b); err != nil {
		t.Fatal(err)
	}
	for _, target := range []netip.Addr{s.b.Addr(), s.b.Addr6()} {
		if got := s.asks(t, s.a, target); !slices.Equal(got, []string{"b"}) {
			t.Errorf("who has %s: %v, want b", target, got)
		}
	}
}

func TestLossDropsAboutThatShare(t *testing.T) {
	s := newSegment(t)
	f, err := s.Lose(s.a, s.b, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.a.Observe(s.b.Addr(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	time.Sleep(1500 * time.Millisecond)
	v := o.View(from, time.Now())
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	// A question and its answer both have to arrive: a quarter does.
	lost := v.None.Total.Seconds() / 1.5
	if lost < 0.6 || lost > 0.9 {
		t.Errorf("nobody answered for %.0f %% of the time, want about 75 %%", 100*lost)
	}
	if _, err := s.Lose(s.a, s.b, 1.5); err == nil {
		t.Error("a loss of 150 % was accepted")
	}
}

func TestPulledPlugTakesTheCarrierAndASilentCutDoesNot(t *testing.T) {
	s := newSegment(t)
	for _, c := range []struct {
		name            string
		fault           func(*Host) (*Fault, error)
		wantUp, carrier bool
	}{
		{"plug pulled at the switch", s.PullAtSwitch, true, false},
		{"plug pulled at the host", s.PullAtHost, false, false},
		{"silent cut", s.SilentCut, true, true},
	} {
		f, err := c.fault(s.b)
		if err != nil {
			t.Fatal(err)
		}
		if up, carrier := link(t, s.b); up != c.wantUp || carrier != c.carrier {
			t.Errorf("%s: up %v, carrier %v, want %v, %v", c.name, up, carrier, c.wantUp, c.carrier)
		}
		if err := f.Heal(); err != nil {
			t.Fatal(err)
		}
		if up, carrier := link(t, s.b); !up || !carrier {
			t.Errorf("%s: after the heal up %v, carrier %v", c.name, up, carrier)
		}
		if addrs, err := s.b.Addrs(); err != nil || !slices.Contains(addrs, netip.PrefixFrom(s.b.Addr6(), 64)) {
			t.Errorf("%s: after the heal the host has %v (%v), want its IPv6 address back", c.name, addrs, err)
		}
	}
}

func TestFrozenProcessesStandStillAndKilledOnesAreGone(t *testing.T) {
	s := newSegment(t)
	// The shell has a child, which nobody told the lab about.
	p, err := s.c.Start("sh", exec.Command("/bin/sh", "-c", "sleep 1000 & wait"))
	if err != nil {
		t.Fatal(err)
	}
	for len(s.c.Pids()) < 2 {
		time.Sleep(time.Millisecond)
	}
	s.c.Freeze()
	pids := s.c.Pids()
	for _, pid := range pids {
		if got := state(t, pid); got != "T" {
			t.Errorf("frozen process %d is in state %s, want T", pid, got)
		}
	}
	s.c.Thaw()
	for _, pid := range pids {
		if got := state(t, pid); got == "T" {
			t.Errorf("thawed process %d is still stopped", pid)
		}
	}
	s.c.Kill()
	if left := s.c.Pids(); len(left) > 0 {
		t.Errorf("killed processes are left: %v", left)
	}
	if err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the killed shell ended with %v", err)
	}
}

func TestKilledProcessesSayNoGoodbye(t *testing.T) {
	l := ForTest(t)
	h := mustHost(t, l, "a", 11)
	said := l.Path("goodbye")
	for range 5 {
		// A child that would say goodbye when its stopped, orphaned group is woken up.
		script := "sh -c 'trap \"echo bye >> " + said + "; exit\" HUP TERM; while :; do sleep 0.01; done' & wait"
		if _, err := h.Start("sh", exec.Command("/bin/sh", "-c", script)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		h.Kill()
	}
	if b, err := os.ReadFile(said); err == nil {
		t.Errorf("killed processes said %q", b)
	}
}

func TestKillReturnsWhenTheSocketsAreClosed(t *testing.T) {
	s := newSegment(t)
	for range 20 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "LAB_STANDIN="+strings.Join([]string{s.c.Addr().String(), s.a.Addr().String(), s.c.Addr().String(), "0",
			s.backend.Addr().String()}, " "))
		p, err := s.c.Start("standin", cmd)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.a.Client(netip.AddrPortFrom(s.c.Addr(), PortHTTP), time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&Pair{}).WaitServed(soon(t), c, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		s.c.Kill()
		err = s.c.Do(func() error {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: s.c.Addr().AsSlice(), Port: 7947})
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
		if err != nil {
			t.Fatalf("the killed process still has its socket: %v", err)
		}
		select {
		case <-p.Done():
		default:
			t.Error("the killed process is not known to have ended")
		}
		c.Stop()
	}
}

func TestChildrenDieBeforeTheirParents(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, self := cmd.Process.Pid, os.Getpid()
	for _, pids := range [][]int{{self, child}, {child, self}} {
		if got := childrenFirst(slices.Clone(pids)); got[0] != child {
			t.Errorf("childrenFirst(%v) = %v, want %d first", pids, got, child)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestClosedLabLeavesNothingBehind(t *testing.T) {
	before := namespaces(t)
	var pid int
	t.Run("lab", func(t *testing.T) {
		s := newSegment(t)
		p, err := s.c.Start("sleep", exec.Command("/bin/sleep", "1000"))
		if err != nil {
			t.Fatal(err)
		}
		pid = p.Pid()
	})
	if err := unix.Kill(pid, 0); err == nil {
		t.Errorf("process %d outlived the lab", pid)
	}
	outlived := func() (list []string) {
		for ns := range namespaces(t) {
			if !before[ns] {
				list = append(list, ns)
			}
		}
		return list
	}
	// The kernel takes a moment to end the threads.
	for deadline := time.Now().Add(5 * time.Second); len(outlived()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("namespaces outlived the lab: %v", outlived())
		}
	}
}

func TestProcessesDieWithTheLabsProcess(t *testing.T) {
	if os.Getenv("LAB_ORPHAN") != "" { // the child: build a lab, start something, tell, and die without cleaning up
		s := newSegment(t)
		p, err := s.c.Start("sleep", exec.Command("/bin/sleep", "1000"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("pid " + itoa(p.Pid()) + "\n")
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	ForTest(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "LAB_ORPHAN=1")
	out, _ := cmd.Output() // it is killed
	var pid int
	if _, err := sscan(string(out), &pid); err != nil {
		t.Fatalf("the child said %q: %v", out, err)
	}
	for deadline := time.Now().Add(2 * time.Second); unix.Kill(pid, 0) == nil && !dead(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived its lab, which was killed", pid)
		}
	}
}

func TestPausedHostIsKilled(t *testing.T) {
	s := newSegment(t)
	p, err := s.c.Start("sleep", exec.Command("/bin/sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	pause, err := s.Pause(s.c)
	if errors.Is(err, ErrNoFreezer) && os.Getenv("TANDEM_NEED_ROOT") != "1" {
		t.Skip("this machine has no cgroup that can freeze")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.c.Freeze() // returns, although the process cannot take the signal yet
	s.c.Kill()
	select {
	case <-p.Done():
	default:
		t.Error("the killed process is not known to have ended")
	}
	if err := pause.Heal(); err != nil {
		t.Errorf("healing a pause that the kill ended: %v", err)
	}
}

func TestNoWorkOnTheThreadThatCannotEnd(t *testing.T) {
	var wg sync.WaitGroup
	for range 2000 {
		wg.Go(func() {
			_ = onThread(func() error {
				if unix.Gettid() == unix.Getpid() {
					t.Error("on the process's first thread, which would stay in its namespace for ever")
				}
				return nil
			})
		})
	}
	wg.Wait()
}

func TestOneOfTwoFaultsOfALinkHeals(t *testing.T) {
	s := newSegment(t)
	host, err := s.PullAtHost(s.b)
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.PullAtSwitch(s.b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Fault{host, port} {
		if err := f.Heal(); err != nil {
			t.Error(err)
		}
	}
	if up, carrier := link(t, s.b); !up || !carrier {
		t.Errorf("healed, and up %v, carrier %v", up, carrier)
	}
}
