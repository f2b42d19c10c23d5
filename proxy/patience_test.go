package proxy

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// A connect that hangs is given up after a quarter of connect_timeout while there is another backend, and counts against the backend.
func TestHangingConnectIsLeftForAnotherBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := netip.MustParseAddrPort("192.0.2.1:80")
		pools := pool.NewSet([]pool.Config{{Name: "web", ConnectTimeout: 2 * time.Second, Backends: []pool.BackendConfig{
			{Name: "a", Address: dead}, {Name: "b", Address: netip.MustParseAddrPort("192.0.2.2:80")},
		}}})
		p, err := New(Config{
			Listeners: []ListenerConfig{{Name: "front", Protocol: TCP, Pool: "web"}},
			Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
				if to == dead {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				near, far := newDuplex()
				far.Close()
				return near, nil
			},
		}, pools, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		connect := func() (took time.Duration, err error) {
			client, far := newDuplex()
			defer far.Close()
			began := time.Now()
			conn, lease, err := newTunnel(p.listeners()[0], client, netip.AddrPort{}).connect(pools.Pool("web"))
			if err == nil {
				lease.Done(nil)
				conn.Close()
			}
			return time.Since(began), err
		}
		slow := 0
		for range 10 {
			switch took, err := connect(); {
			case err != nil:
				t.Fatal(err)
			case took == 500*time.Millisecond:
				slow++
			case took != 0:
				t.Errorf("took %v, want none or 500ms", took)
			}
		}
		if slow != 3 || !pools.Snapshot()[0].Backends[0].Ejected {
			t.Errorf("waited %d times, want 3, and then no more", slow)
		}
		time.Sleep(5 * time.Second) // it is back
		pools.SetUp("web", "b", false, "refused")
		if took, err := connect(); err == nil || took != 2*time.Second {
			t.Errorf("the last backend: took %v, %v; want the whole of connect_timeout", took, err)
		}
	})
}
