package lab

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestSecondLinksOnOneSegmentAndOnAnother(t *testing.T) {
	l := ForTest(t)
	a, b := mustHost(t, l, "a", 11), mustHost(t, l, "b", 12)
	p := netip.MustParsePrefix
	nic := func(h *Host, link, segment string, addrs ...netip.Prefix) *NIC {
		t.Helper()
		n, err := h.NIC(link, segment, addrs...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	nic(a, "eth1", "") // no address of its own: Linux answers for those of its other link
	na, nb := nic(a, "eth2", "cable", p("10.78.0.11/24")), nic(b, "eth1", "cable", p("10.78.0.12/24"))
	ask := func(o *Observer, err error) []string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer o.Stop()
		begin := time.Now()
		time.Sleep(60 * time.Millisecond)
		return o.View(begin, time.Now()).Holders()
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: answered by %v, want %v", what, got, want)
		}
	}
	onEth0 := func() []string { return ask(b.Observe(a.Addr(), 5*time.Millisecond)) }
	onCable := func() []string {
		return ask(nb.Observe(netip.MustParseAddr("10.78.0.11"), netip.MustParseAddr("10.78.0.12"), 5*time.Millisecond))
	}
	expect("both links of a host on one segment", onEth0(), "a", "a/eth1")
	expect("the cable", onCable(), "a/eth2")
	for _, fault := range []func() (*Fault, error){na.Cut, nb.Pull} {
		f, err := fault()
		if err != nil {
			t.Fatal(err)
		}
		expect(f.What, onCable())
		expect("beside "+f.What, onEth0(), "a", "a/eth1")
		if err := f.Heal(); err != nil {
			t.Fatal(err)
		}
		expect("healed "+f.What, onCable(), "a/eth2")
	}
	if err := a.SetMAC(net.HardwareAddr{2, 0, 0, 0, 9, 9}); err != nil {
		t.Fatal(err)
	}
	expect("after a change of the MAC", onEth0(), "a", "a/eth1")
}
