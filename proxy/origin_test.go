package proxy

import (
	"net/netip"
	"testing"
)

func TestClientIsTheLastAddressThatIsNoTrustedProxy(t *testing.T) {
	l := ListenerConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}}
	for _, c := range []struct {
		name, peer string
		fields     []string
		want       string
	}{
		{"nobody is trusted", "192.0.2.1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what the client has put in front", "10.0.0.1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"a chain of proxies", "10.0.0.1", []string{"203.0.113.9, 198.51.100.1, 10.0.0.3,10.0.0.2"}, "198.51.100.1"},
		{"several fields", "10.0.0.1", []string{"203.0.113.9", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"nothing", "10.0.0.1", nil, "10.0.0.1"},
		{"empty members", "10.0.0.1", []string{"", " , 198.51.100.1, ,"}, "198.51.100.1"},
		{"with a port", "10.0.0.1", []string{"198.51.100.1:1234"}, "198.51.100.1"},
		{"IPv6", "2001:db8:1::1", []string{"2001:db8:2::2"}, "2001:db8:2::2"},
		{"IPv6 in brackets", "10.0.0.1", []string{"[2001:db8:2::2]"}, "2001:db8:2::2"},
		{"IPv6 with a port", "10.0.0.1", []string{"[2001:db8:2::2]:80"}, "2001:db8:2::2"},
		{"IPv4 in IPv6", "10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a proxy's IPv4 in IPv6", "10.0.0.1", []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"unknown", "10.0.0.1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"unknown behind a proxy", "10.0.0.1", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"a zone", "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		o := l.origin(netip.MustParseAddr(c.peer))
		for i := len(c.fields) - 1; i >= 0; i-- {
			o.look(c.fields[i])
		}
		if o.addr != netip.MustParseAddr(c.want) {
			t.Errorf("%s: from %s by %q: %s, want %s", c.name, c.peer, c.fields, o.addr, c.want)
		}
	}
}
