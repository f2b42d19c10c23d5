package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/tandem-lb/tandem/test/lab"
)

func TestVIPFlushedByHandIsPutBack(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for range 3 {
			s.must(s.leader.DelAddr(netip.PrefixFrom(s.VIP, s.VIP.BitLen())))
			s.pass(300 * time.Millisecond)
		}
		r, v := s.seen()
		s.stayed(r, v, 6) // what met the moments without the address
		if v.None.Longest > 100*time.Millisecond+2*r.Late {
			t.Errorf("nobody answered for %v", v.None.Longest)
		}
		s.says(s.leader, "vip was removed by someone else and put back", "vip="+s.VIP.String())
	})
}

func TestFlushedRulesetIsPutBack(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		// All but the passage for handovers, which nobody who holds prepares.
		passage := fmt.Sprintf("table %d", nftables.TableFamilyNetdev)
		want := slices.DeleteFunc(s.kernel(s.leader.Host), func(what string) bool { return strings.HasPrefix(what, passage) })
		s.must(s.leader.Do(flushRules))
		s.until("the gate is back", func() bool { return slices.Equal(s.kernel(s.leader.Host), want) })
		s.pass(500 * time.Millisecond)
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.says(s.leader, "the gate was removed by someone else and put back")

		s.begin() // and it works
		s.StopNode(s.leader.Index)
		s.takenOver(s.standby)
		r, v = s.seen()
		s.moved(r, v, time.Second, 100*time.Millisecond)
	})
}

func TestForeignHostThatClaimsTheVIPIsAnswered(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		f := s.fault(s.Usurp(s.Stranger, s.VIP))
		s.says(s.leader, "somebody else claims the vip", "mac="+s.Stranger.MAC().String())
		s.says(s.leader, "announced")
		s.must(s.WaitServed(s.soon(), s.load, time.Second)) // while the stranger still has the address
		r, v := s.seen()
		if r.Blackout > 5*time.Second {
			t.Errorf("the client got no answer for %v", r.Blackout)
		}
		if got, want := v.Holders(), []string{s.leader.Name(), s.Stranger.Name()}; !slices.Equal(got, want) {
			t.Errorf("%v answered for the VIP, want %v", got, want)
		}
		defended := slices.ContainsFunc(s.Watch.Announcements(s.from, time.Now()), func(a lab.Announcement) bool { return a.Who == s.leader.Name() })
		if !defended {
			t.Error("the leader announced nothing")
		}
		s.must(f.Heal())
		s.begin()
		s.pass(before + 500*time.Millisecond)
		r, v = s.seen()
		if r.Failed > 0 || !slices.Equal(v.Changes[len(v.Changes)-1].Who, []string{s.leader.Name()}) {
			t.Errorf("after the stranger left: client %s, observer %s", r, v)
		}
		s.ready()
	})
}
