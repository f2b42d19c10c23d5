package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/proxy/pool"
)

const withNames = `
node: lb1
cluster: {bind: 10.0.0.11, peers: [10.0.0.12], insecure: true}
vip: {interface: eth0, addresses: [10.0.0.10]}
listeners:
  - {name: web, bind: "10.0.0.10:80", protocol: http, pool: web}
  - {name: all, bind: "0.0.0.0:81", protocol: http, pool: web}
resolver: {servers: [10.0.0.53]}
pools:
  - name: web
    backends: [{name: app, address: "app.internal:80", addresses: 2}]
`

func parsed(t *testing.T, text string) *configs.Config {
	t.Helper()
	cfg, _, err := configs.Parse("f", []byte(text), configs.Host{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// nameServer answers each question with these addresses.
func nameServer(addrs ...string) func(context.Context, string, netip.AddrPort) (net.Conn, error) {
	return func(_ context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
		if to != netip.MustParseAddrPort("10.0.0.53:53") {
			return nil, errors.New("not a name server")
		}
		mine, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			buf := make([]byte, 512)
			n, _ := theirs.Read(buf)
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				return
			}
			m.Response = true
			for _, a := range addrs {
				h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60}
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()}})
			}
			if b, err := m.Pack(); err == nil {
				_, _ = theirs.Write(b)
			}
		}()
		return mine, nil
	}
}

func TestNamesOfBackendsLeadToTheirPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := parsed(t, withNames)
		pools := pool.NewSet(poolConfigs(cfg, nil))
		if ts := targets(cfg); len(ts) != 2 || ts[0].Host != "app.internal:80" || ts[0].Backend != "app-1" {
			t.Errorf("probed: %+v", ts)
		}
		r := newResolver(World{DialName: nameServer("10.0.0.10", "10.0.1.1")}, cfg, pools, hclog.NewNullLogger())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = r.Run(ctx) }()
		synctest.Wait()
		used := ""
		for _, b := range pools.Snapshot()[0].Backends {
			if b.Address.IsValid() {
				used += b.Address.String()
			} else if !b.Unused {
				t.Errorf("%+v, want it unused: there is one address", b)
			}
		}
		if used != "10.0.1.1:80" {
			t.Errorf("used %s, want 10.0.1.1:80 and not the listener of the cluster", used)
		}
		cancel()
		<-done
	})
}

func TestOwnListenersAreNoBackends(t *testing.T) {
	cfg := parsed(t, withNames)
	for at, own := range map[string]bool{
		"10.0.0.10:80": true, "10.0.0.10:81": true, "10.0.0.11:81": true, "10.0.0.12:81": true,
		"10.0.0.11:80": false, "10.0.0.10:82": false, "10.0.1.1:81": false,
	} {
		if got := ownListener(cfg, netip.MustParseAddrPort(at)) != ""; got != own {
			t.Errorf("%s: %v, want %v", at, got, own)
		}
	}
}
