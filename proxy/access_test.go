package proxy

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/limit"
	"github.com/tandem-lb/tandem/proxy/pool"
)

func networks(s ...string) (out []netip.Prefix) {
	for _, n := range s {
		out = append(out, netip.MustParsePrefix(n))
	}
	return out
}

func TestNetworksOfClients(t *testing.T) {
	cfg := ListenerConfig{Deny: networks("10.6.0.0/16", "fe80::/10"), Allow: networks("10.0.0.0/8", "fe80::/10", "2001:db8::/32")}
	open := ListenerConfig{Deny: networks("10.6.0.0/16", "fe80::/10")}
	for _, tt := range []struct {
		client     string
		cfg, other bool
	}{
		{"10.1.1.1", true, true},
		{"::ffff:10.1.1.1", true, true},
		{"10.6.1.1", false, false}, // deny comes first
		{"::ffff:10.6.1.1", false, false},
		{"192.0.2.1", false, true}, // not in allow
		{"2001:db8::1", true, true},
		{"fe80::1%eth0", false, false}, // a zone hides nobody
	} {
		a := netip.MustParseAddr(tt.client)
		if got, other := cfg.admits(a), open.admits(a); got != tt.cfg || other != tt.other {
			t.Errorf("%s may come in: %v and, without allow, %v; want %v and %v", a, got, other, tt.cfg, tt.other)
		}
	}
}

func TestClientsOfOtherNetworksAreTurnedAway(t *testing.T) {
	answer := web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for _, tt := range []struct {
		what string
		cfg  ListenerConfig
		ok   bool
	}{
		{"denied", ListenerConfig{Deny: networks("127.0.0.0/8")}, false},
		{"not allowed", ListenerConfig{Allow: networks("192.0.2.0/24")}, false},
		{"allowed", ListenerConfig{Allow: networks("127.0.0.0/8")}, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			for _, p := range []Protocol{TCP, HTTP} {
				cfg := tt.cfg
				cfg.Protocol = p
				l := newLab(t, cfg, answer)
				got := ""
				if c, err := net.Dial("tcp", l.addr); err == nil { // who is reset may learn it in the middle of connecting
					io.WriteString(c, getRequest)
					got = readAll(c)
					c.Close()
				}
				switch {
				case tt.ok && !strings.HasSuffix(got, "ok"),
					!tt.ok && p == TCP && got != "",
					!tt.ok && p == HTTP && !strings.HasPrefix(got, "HTTP/1.1 403 "):
					t.Errorf("%s: got %q", p, got)
				}
			}
		})
	}
}

// The client is who a trusted proxy says, here as everywhere.
func TestNetworksAreThoseOfClientsNotOfProxies(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, TrustedProxies: localhost(), Deny: networks("192.0.2.0/24")},
		web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	for client, want := range map[string]string{"192.0.2.7": "HTTP/1.1 403 ", "198.51.100.7": "HTTP/1.1 200 "} {
		got := l.talk("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + client + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s gets %q, want %s", client, got, want)
		}
	}
}

// A proxy in front asks in its own name when it looks after us, and then speaks for nobody.
func TestProxiesThatSpeakForThemselvesHaveNoRate(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, ProxyProtocol: true, TrustedProxies: localhost(), RateLimit: 1, RateBurst: 1},
		web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	for i := range 5 {
		if got := l.talk("PROXY UNKNOWN\r\n" + getRequest); !strings.HasSuffix(got, "ok") {
			t.Errorf("request %d: %q", i+1, got)
		}
	}
}

func TestSilentFlowsMakeRoomWhenDescriptorsAreShort(t *testing.T) {
	cfg := ListenerConfig{Name: "dns", Bind: netip.MustParseAddrPort("127.0.0.1:53"), Protocol: UDP, Pool: "web", Deny: networks("10.0.0.0/8")}
	p, err := New(Config{Listeners: []ListenerConfig{cfg}}, pool.NewSet([]pool.Config{webPool(netip.MustParseAddrPort("127.0.0.1:54"))}), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	p.budget = limit.NewBudget(2)
	l := p.listeners()[0]
	left := 0
	evict := func() bool {
		if left == 2 {
			return false
		}
		left++
		l.flowLeft(netip.MustParseAddr("192.0.2.1"))
		return true
	}
	for i, want := range []int{0, 0, 1, 2} {
		if err := l.admitFlow(netip.MustParseAddr("192.0.2.1"), evict); err != nil || left != want {
			t.Errorf("flow %d: %v, and %d have made room, want %d", i+1, err, left, want)
		}
	}
	if err := l.admitFlow(netip.MustParseAddr("10.0.0.1"), evict); err == nil || left != 2 {
		t.Errorf("who may not come in: %v, and %d have made room", err, left)
	}
	if err := l.admitFlow(netip.MustParseAddr("192.0.2.1"), evict); err == nil {
		t.Error("admitted although nothing was left")
	}
	if n := l.proxy.budget.Used(); n != 2 {
		t.Errorf("%d taken, want 2", n)
	}
}
