package gossip

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/gossip/gossiptest"
)

func TestLossyNetworkHeals(t *testing.T) {
	r := random(t) // outside of the bubble, whose clock always begins alike
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer a.leave()
		defer b.leave()
		net.Lose(func() bool { return r.IntN(100) < 20 })
		pass(10 * time.Minute)
		t.Logf("in 10 minutes at 20 %% of loss lb1 lost lb2 %d times", len(a.log.find("warn", "node lost")))
		if n := len(a.log.find("info", "node suspected")); n > 11 {
			t.Errorf("a suspicion was told %d times in 10 minutes, want at most once a minute", n)
		}
		net.Lose(nil)
		pass(3 * time.Second)
		a.wantState("lb2", Alive)
		b.wantState("lb1", Alive)
	})
}
