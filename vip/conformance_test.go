package vip_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/viptest"
)

// A world is a host with a keeper on it, and somebody on the same wire who watches.
type world interface {
	run(cfg vip.Config, log hclog.Logger) (k *vip.Keeper, stop func() error)
	answers(netip.Addr) bool
	serves(netip.Addr) bool
	has(netip.Prefix) bool
	carrier(up bool)
	second() vip.Link // another link, with an address of the host's own
	carrierOf(link string, up bool)
	removeLink(link string)
	remove(netip.Prefix)
	flush(node string)
	gated(vip.Config) bool
	leave(p netip.Prefix, permanent bool)
	until(time.Duration, func() bool) bool
}

// fake is the world in memory.
type fake struct {
	*viptest.Host
	t *testing.T
}

func newFake(t *testing.T) fake {
	return fake{viptest.New("eth0", net.HardwareAddr{2, 0, 0, 0, 0, 1},
		netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd00:9::1/64")), t}
}

func (f fake) run(cfg vip.Config, log hclog.Logger) (*vip.Keeper, func() error) {
	k, err := vip.New(cfg, f.Host, log)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	return k, stop
}

func (f fake) answers(a netip.Addr) bool { return f.Answers(a) }
func (f fake) serves(a netip.Addr) bool  { return f.Serves(a) }
func (f fake) has(p netip.Prefix) bool   { return f.Has(p) }
func (f fake) carrier(up bool)           { f.SetCarrier(up) }

func (f fake) carrierOf(link string, up bool) { f.SetCarrierOf(link, up) }
func (f fake) removeLink(link string)         { f.RemoveLink(link) }

func (f fake) second() vip.Link {
	f.AddLink("eth1", net.HardwareAddr{2, 0, 0, 0, 1, 1}, netip.MustParsePrefix("10.10.0.1/24"))
	return secondLink()
}

func secondLink() vip.Link {
	return vip.Link{Interface: "eth1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.0.10/32")}}
}
func (f fake) remove(p netip.Prefix) { f.Delete(p) }
func (f fake) flush(string)          { f.Flush() }
func (f fake) gated(vip.Config) bool { return f.Gated() }

func (f fake) leave(p netip.Prefix, permanent bool) {
	if permanent {
		f.Configure(p)
	} else if err := f.Add(2, p, 30*time.Second); err != nil {
		f.t.Fatal(err)
	}
}

func (f fake) until(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		synctest.Wait()
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// soon is when what should happen at once has happened, on a machine that does other things.
const soon = 2 * time.Second

// story is one keeper's life in a world.
type story struct {
	world
	t    *testing.T
	cfg  vip.Config
	keep *vip.Keeper
	stop func() error
	mute func()          // stop renewing; set by renew
	log  strings.Builder // to be read when the keeper is at rest
}

// TestKeeper tells every story twice: on the host in memory, and on a real kernel.
func TestKeeper(t *testing.T) {
	stories := []struct {
		name string
		tell func(*story)
	}{
		{"HolderAnswersUntilItReleases", holderAnswersUntilItReleases},
		{"HolderThatDoesNotRenewIsSilenced", holderThatDoesNotRenewIsSilenced},
		{"LapseEndsTheTerm", lapseEndsTheTerm},
		{"RemovedAddressIsPutBack", removedAddressIsPutBack},
		{"FlushedGateIsPutBack", flushedGateIsPutBack},
		{"HolderLetsGoWhenLinkGoesDown", holderLetsGoWhenLinkGoesDown},
		{"QuietHolderServesAndDoesNotAnswer", quietHolderServesAndDoesNotAnswer},
		{"QuietClaimIsSilent", quietClaimIsSilent},
		{"OnlyVotesOpenTheGate", onlyVotesOpenTheGate},
		{"HolderWithoutVotesIsSilenced", holderWithoutVotesIsSilenced},
		{"FreeIsAFact", freeIsAFact},
		{"QuietNeedsNoVotes", quietNeedsNoVotes},
		{"FlushedGateOpensByVotes", flushedGateOpensByVotes},
		{"NothingIsLeftAtTheEnd", nothingIsLeftAtTheEnd},
		{"LeftoversAreSweptAtTheStart", leftoversAreSweptAtTheStart},
		{"PermanentAddressIsAnError", permanentAddressIsAnError},
		{"LateWishIsNotHonoured", lateWishIsNotHonoured},
		{"AllLinksHoldOrNone", allLinksHoldOrNone},
		{"VanishedLinkIsTakenUpAgain", vanishedLinkIsTakenUpAgain},
		{"GateStaysShutOverAPermanentAddress", gateStaysShutOverAPermanentAddress},
		{"AddressThatIsRemovedAgainAndAgainIsAFight", addressThatIsRemovedAgainAndAgainIsAFight},
	}
	for _, s := range stories {
		t.Run(s.name+"/fake", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tell(t, newFake(t), s.tell) })
		})
		t.Run(s.name+"/kernel", func(t *testing.T) { tell(t, newKernel(t), s.tell) })
	}
}

func tell(t *testing.T, w world, f func(*story)) {
	s := &story{world: w, t: t, cfg: config(t)}
	s.mute = func() {}
	f(s)
	s.mute()
	if s.stop != nil {
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

// begin starts the keeper, and the thread that renews.
func (s *story) begin() {
	s.t.Helper()
	s.keep, s.stop = s.run(s.cfg, hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: io.MultiWriter(s.t.Output(), &s.log)}))
	s.renew()
	s.must(soon, "the link is up", func() bool { return s.keep.State().LinkUp })
}

func (s *story) renew() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				s.keep.Renew(now)
			}
		}
	})
	s.mute = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
}

func (s *story) must(d time.Duration, what string, ok func() bool) {
	s.t.Helper()
	if !s.until(d, ok) {
		s.t.Fatalf("after %s it is not so that %s; the state is %+v", d, what, s.keep.State())
	}
}

func (s *story) never(d time.Duration, what string, bad func() bool) {
	s.t.Helper()
	if s.until(d, bad) {
		s.t.Fatalf("%s; the state is %+v", what, s.keep.State())
	}
}

// hold claims with a term.
func (s *story) hold(term uint64) {
	s.t.Helper()
	s.keep.Want(vip.Wish{Hold: true, Term: term, Reason: "a test"})
	s.must(soon, "it holds", s.holds)
}

func (s *story) holds() bool { return s.keep.State().Holds }

// all says whether f is so for every address; none whether it is for none.
func (s *story) all(f func(netip.Addr) bool) bool {
	for _, p := range s.cfg.Addresses {
		if !f(p.Addr()) {
			return false
		}
	}
	return true
}

func (s *story) none(f func(netip.Addr) bool) bool {
	return s.all(func(a netip.Addr) bool { return !f(a) })
}

func (s *story) expect(what string, ok bool) {
	s.t.Helper()
	if !ok {
		s.t.Errorf("it is not so that %s; the state is %+v", what, s.keep.State())
	}
}

func holderAnswersUntilItReleases(s *story) {
	s.begin()
	s.expect("nobody answers before a claim", s.none(s.answers))
	s.hold(3)
	s.expect("all answer while held", s.all(s.answers) && s.all(s.serves))
	if got := s.keep.State(); got.Term != 3 || got.Since.IsZero() || got.Err != nil || got.Gate != "nftables" {
		s.t.Errorf("State = %+v, want term 3, a time, no error, a gate", got)
	}
	s.until(3*s.cfg.Failover, func() bool { return false })
	s.expect("all answer after several leases", s.all(s.answers) && s.holds())
	s.keep.Want(vip.Wish{Reason: "a test"})
	s.must(soon, "it lets go", func() bool { return !s.holds() })
	s.expect("nobody answers after the release", s.none(s.answers) && s.none(s.serves))
	s.must(soon, "the addresses are gone", func() bool { return !s.has(s.cfg.Addresses[0]) && !s.has(s.cfg.Addresses[1]) })
	s.expect("a keeper that holds nothing has nothing to renew", s.keep.Renew(time.Now()))
}

func holderThatDoesNotRenewIsSilenced(s *story) {
	s.begin()
	s.hold(1)
	s.mute()
	s.never(s.cfg.Failover/2, "silenced too early", func() bool { return s.none(s.serves) })
	s.must(s.cfg.Failover/2+100*time.Millisecond, "it is silent on ARP, ND and IP", func() bool { return s.none(s.answers) && s.none(s.serves) })
	s.must(soon, "it knows", func() bool { st := s.keep.State(); return !st.Holds && !st.LostAt.IsZero() })
}

func lapseEndsTheTerm(s *story) {
	s.begin()
	s.hold(1)
	s.mute()
	s.must(soon, "it lapses", func() bool { return !s.holds() })
	s.renew()
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "decided before the lapse was known"})
	s.never(100*time.Millisecond, "it claimed again with the term that lapsed", s.holds)
	s.expect("the state says why", s.keep.State().Err != nil)
	s.hold(2)
	s.expect("all answer again", s.all(s.answers))
}

func removedAddressIsPutBack(s *story) {
	s.begin()
	s.hold(1)
	s.remove(s.cfg.Addresses[0])
	s.must(soon, "it is put back", func() bool { return s.keep.State().Readded == 1 && s.has(s.cfg.Addresses[0]) })
	s.expect("all answer", s.all(s.answers))
	s.remove(s.cfg.Addresses[1])
	s.must(soon, "it is put back", func() bool { return s.keep.State().Readded == 2 && s.has(s.cfg.Addresses[1]) })
	s.expect("all answer", s.all(s.answers) && s.holds())
}

func flushedGateIsPutBack(s *story) {
	s.begin()
	s.hold(1)
	s.flush(s.cfg.Node)
	s.until(50*time.Millisecond, func() bool { return false })
	s.expect("the VIP was not lost", s.holds() && s.all(s.answers))
	s.must(soon, "the gate is back", func() bool { return s.gated(s.cfg) })
	s.mute()
	s.must(soon, "the new gate silences", func() bool { return s.none(s.answers) && s.none(s.serves) })
	s.must(soon, "it has let go", func() bool { return !s.has(s.cfg.Addresses[0]) })
	s.flush(s.cfg.Node)
	s.must(soon, "the gate of a standby is put back, too", func() bool { return s.gated(s.cfg) })
}

func holderLetsGoWhenLinkGoesDown(s *story) {
	s.begin()
	s.hold(1)
	s.carrier(false)
	s.must(soon, "it lets go", func() bool { st := s.keep.State(); return !st.Holds && !st.LinkUp && st.LinkWhy != "" })
	s.carrier(true)
	s.must(soon, "the link is back", func() bool { return s.keep.State().LinkUp })
	s.never(50*time.Millisecond, "it claimed on the strength of an old wish", s.holds)
	s.hold(1)
	s.expect("all answer, IPv6 too", s.all(s.answers))
}

func quietHolderServesAndDoesNotAnswer(s *story) {
	s.begin()
	s.hold(1)
	s.expect("it serves", s.all(s.serves))
	s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 1, Reason: "a handover"})
	s.must(soon, "it goes quiet", func() bool { return s.keep.State().Quiet })
	s.expect("it serves and does not answer", s.none(s.answers) && s.all(s.serves))
	s.until(2*s.cfg.Failover, func() bool { return false })
	s.expect("quiet lasts as long as it is renewed", s.keep.State().Holds && s.all(s.serves))
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "the handover was cancelled"})
	s.must(soon, "it speaks", func() bool { return !s.keep.State().Quiet })
	s.expect("it answers", s.all(s.answers))
}

func quietClaimIsSilent(s *story) {
	s.begin()
	s.keep.Want(vip.Wish{Hold: true, Quiet: true, Term: 1, Reason: "a handover begins"})
	s.must(soon, "it holds in silence", func() bool { st := s.keep.State(); return st.Holds && st.Quiet })
	s.expect("it serves IPv4, though it had to ask for the way", s.serves(s.cfg.Addresses[0].Addr()))
	s.expect("it does not answer", s.none(s.answers))
	s.expect("it has not announced", s.keep.State().Announced == 0)
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "the other has let go"})
	s.must(soon, "it speaks", func() bool { return !s.keep.State().Quiet })
	s.expect("it answers", s.all(s.answers) && s.all(s.serves))
}

func nothingIsLeftAtTheEnd(s *story) {
	s.begin()
	s.hold(1)
	if err := s.stop(); err != nil {
		s.t.Errorf("Run = %v", err)
	}
	s.expect("nobody answers", s.none(s.answers) && s.none(s.serves))
	for _, p := range s.cfg.Addresses {
		s.expect("no address is left", !s.has(p))
	}
}

func leftoversAreSweptAtTheStart(s *story) {
	s.begin()
	s.hold(1)
	record := readFile(s.t, s.cfg)
	s.mute()
	if err := s.stop(); err != nil {
		s.t.Fatal(err)
	}
	writeFile(s.t, s.cfg, record)
	for _, p := range s.cfg.Addresses {
		s.leave(p, false)
	}
	s.begin()
	for _, p := range s.cfg.Addresses {
		s.expect("the leftover was swept", !s.has(p))
	}
}

func permanentAddressIsAnError(s *story) {
	s.leave(s.cfg.Addresses[0], true)
	s.keep, s.stop = s.run(s.cfg, testLog(s.t))
	s.must(soon, "it says so", func() bool { return s.keep.State().Err != nil && s.keep.State().Barred != nil })
	s.keep.Want(vip.Wish{Hold: true, Term: 1})
	s.never(50*time.Millisecond, "it claims", s.holds)
	s.expect("the address is still there", s.has(s.cfg.Addresses[0]))
	s.expect("the gate keeps it silent", !s.answers(s.cfg.Addresses[0].Addr()) && !s.serves(s.cfg.Addresses[0].Addr()))
	s.remove(s.cfg.Addresses[0])
	s.must(soon, "it is content", func() bool { return s.keep.State().Err == nil && s.keep.State().Barred == nil })
	s.renew()
	s.hold(1)
}

func lateWishIsNotHonoured(s *story) {
	s.begin()
	s.carrier(false)
	s.must(soon, "the link is down", func() bool { return !s.keep.State().LinkUp })
	s.keep.Want(vip.Wish{Hold: true, Term: 1, Reason: "decided while the link was down"})
	s.until(2*s.cfg.Failover, func() bool { return false })
	s.carrier(true)
	s.must(soon, "the link is up", func() bool { return s.keep.State().LinkUp })
	s.never(50*time.Millisecond, "it claimed on the strength of an old wish", s.holds)
	s.hold(1)
}
