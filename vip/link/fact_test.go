package link

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func addrs(s ...string) []Addr {
	var all []Addr
	for _, p := range s {
		tentative := strings.HasPrefix(p, "?")
		all = append(all, Addr{Prefix: netip.MustParsePrefix(strings.TrimPrefix(p, "?")), Tentative: tentative})
	}
	return all
}

func TestOwnAddressForATarget(t *testing.T) {
	vip := netip.MustParseAddr("10.0.0.10")
	tests := []struct {
		have []Addr
		to   string
		want string
	}{
		{addrs("10.0.0.1/24"), "10.0.0.2", "10.0.0.1"},
		{addrs("192.0.2.1/24", "10.0.0.1/24"), "10.0.0.2", "10.0.0.1"},
		{addrs("192.0.2.1/24", "10.0.0.1/24"), "203.0.113.1", "192.0.2.1"},
		{addrs("169.254.1.1/16", "10.0.0.1/24"), "203.0.113.1", "10.0.0.1"},
		{addrs("10.0.0.10/32"), "10.0.0.2", ""},
		{addrs("fe80::1/64"), "10.0.0.2", ""},
		{addrs("fe80::1/64"), "2001:db8::10", "fe80::1"},
		{addrs("fe80::1/64", "2001:db8::1/64"), "2001:db8::10", "2001:db8::1"},
		{addrs("fe80::1/64", "?2001:db8::1/64"), "2001:db8::10", "fe80::1"},
		{nil, "10.0.0.2", ""},
	}
	for _, tt := range tests {
		got, ok := Fact{Addrs: tt.have}.Own(netip.MustParseAddr(tt.to), []netip.Addr{vip})
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("Own(%v, %s) = %s, %v, want %q", tt.have, tt.to, got, ok, tt.want)
		}
	}
}

func TestWhyALinkIsOfNoUse(t *testing.T) {
	good := Fact{Name: "eth0", Index: 2, Up: true, Carrier: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Addrs: addrs("10.0.0.1/24", "fe80::1/64")}
	v4, v6 := netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("2001:db8::10")
	tests := []struct {
		change func(*Fact)
		vips   []netip.Addr
		want   string
	}{
		{func(*Fact) {}, []netip.Addr{v4, v6}, ""},
		{func(f *Fact) { f.Index = 0 }, []netip.Addr{v4}, "does not exist"},
		{func(f *Fact) { f.Up = false }, []netip.Addr{v4}, "is down"},
		{func(f *Fact) { f.Carrier = false }, []netip.Addr{v4}, "no carrier"},
		{func(f *Fact) { f.MAC = nil }, []netip.Addr{v4}, "not an Ethernet"},
		{func(f *Fact) { f.Addrs = addrs("10.0.0.10/32") }, []netip.Addr{v4}, "no IPv4 address of its own"},
		{func(f *Fact) { f.Addrs = addrs("fe80::1/64") }, []netip.Addr{v6, v4}, "no IPv4 address of its own"},
		{func(f *Fact) { f.Addrs = addrs("fe80::1/64") }, []netip.Addr{v6}, ""},
		{func(f *Fact) { f.Addrs = nil }, []netip.Addr{v6}, "no IPv6 address of its own"},
		{func(f *Fact) { f.Addrs = nil }, nil, ""},
	}
	for _, tt := range tests {
		f := good.clone()
		tt.change(&f)
		got := f.Why(tt.vips, tt.vips)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("Why(%+v, %v) = %q, want %q", f, tt.vips, got, tt.want)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWADDR), []byte{2, 32, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 10})
	// A prefix length of 200 for an address of 4 bytes.
	f.Add(uint16(unix.RTM_NEWADDR), []byte{2, 200, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 10})
	// Attributes that end in the middle, which the library's own parser does not survive.
	f.Add(uint16(unix.RTM_NEWADDR), []byte("0000\x02\x00\x00\x00\x1d\x00000000000000000000000000000"))
	f.Add(uint16(unix.RTM_NEWLINK), append(make([]byte, unix.SizeofIfInfomsg), 9, 0, 3, 0, 'e', 't', 'h', '0', 0))
	f.Add(uint16(unix.RTM_DELLINK), make([]byte, unix.SizeofIfInfomsg))
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		fact := Fact{Name: "eth0", Index: 2}
		fact.apply(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: typ}, Data: data})
		for _, a := range fact.Addrs {
			if !a.Prefix.IsValid() {
				t.Errorf("apply(%d, %x) = %+v", typ, data, fact)
			}
		}
	})
}
