package vip_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// onFake tells a story on the host in memory.
func onFake(t *testing.T, f func(*story, *viptest.Host)) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		tell(t, w, func(s *story) { f(s, w.Host) })
	})
}

func TestReleaseShutsTheGateBeforeASlowKernel(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(3 * time.Second)
		s.keep.Want(vip.Wish{Reason: "a test"})
		synctest.Wait()
		s.expect("the addresses are still there", s.has(s.cfg.Addresses[0]))
		s.expect("and silent", s.none(s.answers) && s.none(s.serves))
		s.expect("renewing is quick, whatever the kernel does", s.keep.Renew(time.Now()))
		s.must(10*time.Second, "the addresses are gone", func() bool { return !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]) })
	})
}

func TestRenewalOfAddressesDoesNotDelayALetGo(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(500 * time.Millisecond)
		time.Sleep(s.cfg.Lease + 680*time.Millisecond) // a renewal is under way
		s.carrier(false)
		synctest.Wait()
		s.expect("it does not hold", !s.holds())
		h.SetSlow(0)
	})
}

func TestNoAddressIsRenewedAfterALapse(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		n := h.Adds()
		h.SetSlow(500 * time.Millisecond)
		time.Sleep(s.cfg.Lease/3 + 10*time.Millisecond) // the renewal of the first address is under way
		s.mute()
		time.Sleep(2 * time.Second)
		if got := h.Adds() - n; got != 1 {
			t.Errorf("%d addresses were renewed, want 1: the lease lapsed before the second", got)
		}
		h.SetSlow(0)
		s.must(5*time.Second, "nothing is left", func() bool { return !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]) })
	})
}

func TestOldWishBeginsNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		s := &story{world: w, t: t, cfg: config(t)}
		keep, err := vip.New(s.cfg, w.Host, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		s.keep = keep
		keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "decided before the process was stopped for a while"})
		time.Sleep(s.cfg.Failover + 10*time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- keep.Run(ctx) }()
		s.never(100*time.Millisecond, "it claimed", s.holds)
		s.renew()
		s.hold(1)
		s.mute()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestClaimThatTakesTooLongOpensNothing(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		h.SetSlow(800 * time.Millisecond)
		s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "a test"})
		s.never(4*time.Second, "it opened after a late claim", func() bool { return s.holds() || !s.none(s.serves) })
		s.expect("it says so", s.keep.State().Err != nil)
		s.expect("nothing is left", !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]))
		h.SetSlow(0)
		s.never(time.Second, "it claimed on the strength of the old wish", s.holds)
		s.hold(1)
		s.expect("the error is gone", s.keep.State().Err == nil)
	})
}

func TestPacketSocketsThatCannotBeOpenedAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFake(t)
		w.SetNoPort(errors.New("listen packet 0x806: operation not permitted\nlisten packet 0x0: operation not permitted"))
		var out strings.Builder
		_, stop := w.run(config(t), hclog.New(&hclog.LoggerOptions{Output: &out}))
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		const message = "packet sockets cannot be opened, this node cannot lead"
		if n := strings.Count(out.String(), message); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, out.String())
		}
		if !strings.Contains(out.String(), "permitted; listen packet 0x0") {
			t.Errorf("the error is not on one line:\n%s", out.String())
		}
	})
}

func TestSuspendedHostLetsGo(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		s.mute()
		h.Suspend(time.Second)
		s.expect("the gate does not know", s.all(s.answers))
		s.expect("the first renewal knows", !s.keep.Renew(time.Now()))
		s.expect("and has shut the gate", s.none(s.serves))
		s.expect("the state says since when", s.keep.State().LostAt.Equal(time.Now()) && !s.holds())
		synctest.Wait()
		s.expect("when it has let go there is nothing to renew", s.keep.Renew(time.Now()))
	})
}

// Votes that were granted before a pause that only the boot clock knows of prolong nothing.
func TestSuspendedHostWithVotesLetsGo(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		v := s.vote()
		v.set(func(v *voting) { v.asks, v.grant = true, true })
		s.hold(1)
		s.mute()
		h.Suspend(time.Second)
		s.expect("the gate does not know", s.all(s.answers))
		v.turn(s.keep, time.Now())
		s.expect("the first turn knows", s.none(s.answers) && s.none(s.serves))
	})
}

func TestHostWithoutAGateGoesByTheClock(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		h.SetNoGate(errors.New("no nftables here"))
		s.begin()
		if got := s.keep.State().Gate; !strings.Contains(got, "no nftables here") {
			t.Errorf("State.Gate = %q", got)
		}
		s.hold(1)
		s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 1})
		time.Sleep(time.Second)
		s.expect("it holds, and is honest about not being quiet", s.holds() && !s.keep.State().Quiet)
		s.mute()
		time.Sleep(s.cfg.Failover + 2*time.Millisecond)
		synctest.Wait()
		s.expect("it let go by itself", !s.holds() && s.none(s.answers) && !s.keep.State().LostAt.IsZero())
	})
}

func TestLeaseRemovesAddressesOfAKeeperThatIsStuck(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		s.hold(1)
		h.SetSlow(time.Hour)
		time.Sleep(s.cfg.Lease + 3*time.Second)
		s.expect("the kernel took them", !s.has(s.cfg.Addresses[0]))
		h.SetSlow(0)
		s.mute()
		time.Sleep(2 * time.Hour)
	})
}
