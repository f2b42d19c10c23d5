package daemon

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/byhand"
	"github.com/tandem-lb/tandem/cluster/peer"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// alone is the way to nobody.
type alone struct{ byhand.Streams }

func (alone) States() map[string]peer.State { return nil }

func TestABackendIsSetByHandUntilReset(t *testing.T) {
	dir := t.TempDir()
	made := func() (*setter, *pool.Set) {
		pools := pool.NewSet([]pool.Config{{Name: "web", Backends: []pool.BackendConfig{{Name: "w1", Address: netip.MustParseAddrPort("10.0.0.21:80"), Weight: 2}}}})
		b, err := byhand.Load(dir, "lb1", hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		b.Start(inForce(pools))
		return &setter{board: b, streams: alone{}, pools: pools, log: hclog.NewNullLogger()}, pools
	}
	is := func(when string, p *pool.Set, admin pool.Admin, weight int, byHand bool) {
		t.Helper()
		b := p.Snapshot()[0].Backends[0]
		if b.Order.Admin != admin || b.Weight != weight || (handOf(b.Order) != nil) != byHand {
			t.Errorf("%s: %+v", when, b)
		}
	}
	s, pools := made()
	set := func(o api.BackendOrder) {
		t.Helper()
		o.Pool, o.Backend = "web", "w1"
		if _, err := s.set(t.Context(), o, "uid 0"); err != nil {
			t.Fatal(err)
		}
	}
	is("at first", pools, pool.Ready, 2, false)
	set(api.BackendOrder{Weight: 9})
	set(api.BackendOrder{State: "drain", Reason: "new disk"})
	is("drained, with the weight of before", pools, pool.Drain, 9, true)
	s, pools = made()
	is("after a restart", pools, pool.Drain, 9, true)
	set(api.BackendOrder{State: "ready"})
	is("ready", pools, pool.Ready, 9, true)
	set(api.BackendOrder{Reset: true})
	is("reset", pools, pool.Ready, 2, false)

	for _, o := range []api.BackendOrder{{Pool: "web", Backend: "w1"}, {Pool: "web", Backend: "w2", State: "drain"}, {Pool: "mail", Backend: "w1", State: "drain"}, {Pool: "web", Backend: "w1", State: "off"}} {
		if _, err := s.set(t.Context(), o, "uid 0"); !isRefusal(err) {
			t.Errorf("%+v: %v, want a refusal", o, err)
		}
	}
	is("after wrong orders", pools, pool.Ready, 2, false)
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*api.Refusal](err)
	return ok
}
