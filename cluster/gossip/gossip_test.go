package gossip

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/tandem-lb/tandem/cluster/gossip/gossiptest"
)

func TestTwoNodesFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1, Priority: 100, Version: "v1"})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2, Priority: 90, Version: "v1"})
		defer a.leave()
		defer b.leave()
		pass(500 * time.Millisecond)
		a.wantState("lb2", Alive)
		b.wantState("lb1", Alive)
		a.want(1, "info", "node joined", "lb2", addr2.String())
		for _, m := range b.Snapshot() {
			if m.Addr != addr1 || m.Meta.Boot != 1 || m.Meta.Priority != 100 {
				t.Errorf("lb2 sees %+v", m)
			}
		}
		if len(a.Snapshot()) != 1 {
			t.Errorf("lb1 sees %+v, want one member: itself is none", a.Snapshot())
		}
	})
}

func TestNodeThatStartsLateIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
		defer a.leave()
		pass(time.Minute)
		a.want(1, "warn", "could not join", "connection refused")
		a.want(1, "info", "joining")
		b := start(t, &net, conf("lb2", addr2), Meta{Boot: 2}) // knows nobody: only the rejoin loop of lb1 can find it
		defer b.leave()
		pass(500 * time.Millisecond)
		a.wantState("lb2", Alive)
		b.wantState("lb1", Alive)
	})
}

func TestDeadNodeIsLostAndLeavingNodeHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2, addr3), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1, addr3), Meta{Boot: 2})
		c := start(t, &net, conf("lb3", addr3, addr1, addr2), Meta{Boot: 3})
		defer a.leave()
		pass(time.Second)
		c.leave()
		pass(100 * time.Millisecond)
		a.wantState("lb3", Left)
		b.wantState("lb3", Left)
		a.want(1, "info", "node left", "lb3")

		died := time.Now()
		net.Kill(addr2)
		for a.state("lb2") != Lost && time.Since(died) < 5*time.Second {
			pass(10 * time.Millisecond)
		}
		if took := time.Since(died); took > 1200*time.Millisecond {
			t.Errorf("noticed after %s, want at most 1.2s", took)
		}
		t.Logf("noticed after %s", time.Since(died))
		synctest.Wait()
		a.want(1, "warn", "node lost", "lb2", "no answer to probes")
		a.want(1, "info", "node suspected", "lb2")
		b.leave()
	})
}

func TestBothFindEachOtherAgainAfterACut(t *testing.T) {
	for _, length := range []time.Duration{2 * time.Second, 20 * time.Second, 2 * time.Minute} {
		t.Run(length.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var net gossiptest.Network
				a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
				b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
				defer a.leave()
				defer b.leave()
				pass(time.Second)
				net.Cut(addr1, addr2, true)
				net.Cut(addr2, addr1, true)
				pass(length)
				a.wantState("lb2", Lost)
				b.wantState("lb1", Lost)
				net.Cut(addr1, addr2, false)
				net.Cut(addr2, addr1, false)
				// A dial that began during the cut may take its whole second to end.
				pass(streamBudget + 3*defaultRejoin)
				a.wantState("lb2", Alive)
				b.wantState("lb1", Alive)
				a.want(2, "info", "node joined", "lb2")
			})
		})
	}
}

func TestRestartFasterThanDetectionIsToldByTheBootID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer a.leave()
		pass(time.Second)
		net.Kill(addr2)
		b2 := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 22})
		defer b2.leave()
		pass(300 * time.Millisecond)
		a.want(1, "info", "node restarted", "lb2")
		a.want(0, "warn", "node lost")
		a.want(1, "info", "node joined")
		if m := a.Snapshot()[0]; m.Meta.Boot != 22 || m.State != Alive {
			t.Errorf("lb1 sees %+v", m)
		}
		b.leave()
		a.wantState("lb2", Alive) // the old process's goodbye is not the new one's
	})
}

func TestMetadataReachesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network gossiptest.Network
		a := start(t, &network, conf("lb1", addr1, addr2), Meta{Boot: 1})
		b := start(t, &network, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer a.leave()
		defer b.leave()
		pass(time.Second)
		<-b.Changed()
		for term := range uint64(50) {
			a.SetMeta(Meta{Boot: 1, Term: term + 1, Holds: true, MACs: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}}})
		}
		pass(2 * time.Second)
		select {
		case <-b.Changed():
		default:
			t.Error("no poke")
		}
		m := b.Snapshot()[0]
		if m.Meta.Term != 50 || !m.Meta.Holds || len(m.Meta.MACs) != 1 {
			t.Errorf("lb2 sees %+v", m.Meta)
		}
		m.Meta.MACs[0][0] = 99
		if b.Snapshot()[0].Meta.MACs[0][0] == 99 {
			t.Error("the snapshot shares memory")
		}
	})
}

func TestStrayEventsAfterTheEndChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer b.leave()
		pass(time.Second)
		began := time.Now()
		a.leave()
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("leaving took %s", took)
		}
		was := a.Snapshot()[0].State
		pass(10 * time.Second)
		callbacks{a.Gossip}.NotifyLeave(&memberlist.Node{Name: "lb2"}) // as by a timer that could not be stopped
		if now := a.Snapshot()[0].State; now != was {
			t.Errorf("after the end the state of lb2 went from %s to %s", was, now)
		}
		b.wantState("lb1", Left)
		a.want(1, "info", "left the cluster")
	})
}

func TestNodeThatDiedMayComeBackAtAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net gossiptest.Network
		a := start(t, &net, conf("lb1", addr1, addr2, addr3), Meta{Boot: 1})
		b := start(t, &net, conf("lb2", addr2, addr1), Meta{Boot: 2})
		defer a.leave()
		pass(time.Second)
		net.Kill(addr2)
		pass(2 * time.Second)
		a.wantState("lb2", Lost)
		moved := start(t, &net, conf("lb2", addr3, addr1), Meta{Boot: 22})
		defer moved.leave()
		pass(3 * time.Second)
		if m := a.Snapshot()[0]; m.State != Alive || m.Addr != addr3 || m.Meta.Boot != 22 {
			t.Errorf("lb1 sees %+v", m)
		}
		a.want(0, "error", "node name is used twice")
		b.leave()
	})
}
