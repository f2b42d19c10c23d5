package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestMain lets the test binary be the stand-in as well.
func TestMain(m *testing.M) {
	if spec := os.Getenv("LAB_STANDIN"); spec != "" {
		standIn(strings.Split(spec, " "))
	}
	os.Exit(m.Run())
}

// newStandInPair is a pair whose nodes run the stand-in, both started, with a leader.
func newStandInPair(t *testing.T, c PairConfig) (*Pair, *Node) {
	t.Helper()
	c.Launch = func(n *Node) ([]*Proc, error) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "LAB_STANDIN="+strings.Join([]string{n.Addr().String(), n.Pair.Other(n).Addr().String(),
			n.Pair.VIP.String(), strconv.Itoa(n.Index), n.Pair.Backends[0].Addr().String()}, " "))
		p, err := n.Start(n.Name(), cmd)
		return []*Proc{p}, err
	}
	p, err := NewPair(ForTest(t), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Nodes {
		if err := p.StartNode(i); err != nil {
			t.Fatal(err)
		}
	}
	leader, err := p.WaitLeader(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return p, leader
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestPairShowsAFailover(t *testing.T) {
	p, leader := newStandInPair(t, PairConfig{})
	load, err := p.Load(5 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitServed(soon(t), load, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	p.KillNode(leader.Index)
	if err := leader.DelAddr(netip.PrefixFrom(p.VIP, 32)); err != nil { // the stand-in has no fence
		t.Fatal(err)
	}
	if _, err := p.WaitLeader(soon(t), p.Other(leader)); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitServed(soon(t), load, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	r, v := load.Conclude(from.Add(-100*time.Millisecond), time.Now()), p.Watch.View(from.Add(-100*time.Millisecond), time.Now())
	if r.Blackout < 200*time.Millisecond || r.Blackout > 2*time.Second || r.Failed == 0 {
		t.Errorf("client saw %s, want a blackout of the stand-in's patience and a little", r)
	}
	if len(v.Holders()) != 2 || v.Dual.Total > 0 || v.None.Longest < 150*time.Millisecond {
		t.Errorf("observer saw %s, want one holder after the other with a gap", v)
	}
}

func TestObserverSeesTwoHoldersAndAQuietClientBelievesTheLastAnnouncement(t *testing.T) {
	p, leader := newStandInPair(t, PairConfig{Quiet: 1})
	q := p.Quiet[0]
	if err := q.KeepNeighbours(p.VIP); err != nil {
		t.Fatal(err)
	}
	believes := func(want string) {
		t.Helper()
		if got, err := q.Neighbour(p.VIP); err != nil || got != want {
			t.Errorf("the quiet client believes in %q (%v), want %q", got, err, want)
		}
	}
	time.Sleep(10 * time.Millisecond)
	believes(leader.Name())
	from := time.Now()
	f, err := p.Usurp(p.Stranger, p.VIP)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if p.Leader() != nil {
		t.Errorf("leader %s while a stranger answers too", p.Leader().Name())
	}
	believes("stranger")
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	time.Sleep(50 * time.Millisecond)
	believes("stranger") // it asks nobody
	if v := p.Watch.View(from, healed); v.Dual.Total < 150*time.Millisecond || v.Dual.Total > 300*time.Millisecond {
		t.Errorf("observer saw %s, want about 200 ms of two holders", v)
	}
	if len(p.Watch.Announcements(from, healed)) != 2 {
		t.Errorf("announcements: %v, want the two of the stranger", p.Watch.Announcements(from, healed))
	}
	if err := leader.Announce(p.VIP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	believes(leader.Name())
	c, err := q.Client(netip.AddrPortFrom(p.VIP, PortHTTP), 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitServed(soon(t), c, 200*time.Millisecond); err != nil {
		t.Error(err)
	}
}

func TestObserverSeesIPv6HoldersAndAnnouncements(t *testing.T) {
	l := ForTest(t)
	a, b := mustHost(t, l, "a", 11), mustHost(t, l, "b", 12)
	vip := Addr6(VIPID)
	o, err := b.Observe(vip, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	if _, err := l.Usurp(a, vip); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Wait(soon(t), func(who []string) bool { return len(who) == 1 && who[0] == "a" }); err != nil {
		t.Error(err)
	}
	time.Sleep(50 * time.Millisecond) // the answer may have come first
	if got := o.Announcements(from, time.Now()); len(got) != 1 || got[0].Who != "a" {
		t.Errorf("announcements %v, want one of a", got)
	}
}

func TestStoppedNodeStandsAndGoesOn(t *testing.T) {
	p, leader := newStandInPair(t, PairConfig{})
	p.StopNode(leader.Index)
	if _, err := p.Watch.Wait(soon(t), func(who []string) bool { return len(who) == 2 }); err != nil {
		t.Errorf("the kernel of a stopped node answers, and the other claims: %v", err)
	}
	p.ContNode(leader.Index)
	if err := p.TermNode(soon(t), leader.Index); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("ended by SIGTERM: %v", err)
	}
}

func TestCrowdHoldsItsConnections(t *testing.T) {
	s := newSegment(t)
	c, err := s.c.Crowd(s.backend.Addr(), 200)
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() != 200 {
		t.Errorf("%d connections, want 200", c.Len())
	}
	c.Close()
}

// standIn is a poor man's node: it beats by UDP, claims the VIP when it is the first or has heard nothing for 200 ms, never lets go, and
// forwards to one backend. It never returns.
func standIn(args []string) {
	self, peer, vip, backend := args[0], args[1], netip.MustParseAddr(args[2]), args[4]
	conn, err := net.ListenPacket("udp", self+":7947")
	if err != nil {
		panic(err)
	}
	to, _ := net.ResolveUDPAddr("udp", peer+":7947")
	var once sync.Once
	claim := func() { once.Do(func() { claimVIP(vip, backend) }) }
	if args[3] == "0" {
		claim()
	}
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			_, _ = conn.WriteTo([]byte("beat"), to)
		}
	}()
	var b [16]byte
	for patience := 2 * time.Second; ; patience = 200 * time.Millisecond { // the first beat may take a while
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := conn.ReadFrom(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			claim()
		}
	}
}

func claimVIP(vip netip.Addr, backend string) {
	link, err := netlink.LinkByName(eth)
	if err != nil {
		panic(err)
	}
	if err := netlink.AddrReplace(link, address(netip.PrefixFrom(vip, 32))); err != nil {
		panic(err)
	}
	mac := link.Attrs().HardwareAddr
	announceHere(arpFrame(broadcast(), mac, 1, mac, vip, make([]byte, 6), vip), link.Attrs().Index)
	ln, err := net.Listen("tcp", netip.AddrPortFrom(vip, PortHTTP).String())
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				panic(err)
			}
			go forward(c, backend)
		}
	}()
}

func forward(c net.Conn, backend string) {
	defer c.Close()
	b, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer b.Close()
	go func() { _, _ = io.Copy(b, c) }()
	_, _ = io.Copy(c, b)
}

// announceHere sends a frame from the namespace of the process.
func announceHere(frame []byte, index int) {
	fd, err := rawSocket(index)
	if err != nil {
		panic(err)
	}
	defer fd.Close()
	if _, err := fd.Write(frame); err != nil {
		panic(err)
	}
}
