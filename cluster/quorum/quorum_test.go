package quorum_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/quorum"
)

const ms = time.Millisecond

func addrs(last ...byte) (list []netip.AddrPort) {
	for _, b := range last {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, b}), 7946))
	}
	return list
}

func TestAllVotersHaveOneSetAndEachASeat(t *testing.T) {
	all := addrs(13, 11, 12)
	seats := map[int]bool{}
	hash := quorum.NewSet(all[0], all[1:], 460*ms, 400*ms).Hash
	for i, self := range all {
		peers := append(append([]netip.AddrPort(nil), all[i+1:]...), all[:i]...)
		s := quorum.NewSet(self, peers, 460*ms, 400*ms)
		if s.Hash != hash || s.Size != 3 || s.Majority() != 2 || seats[s.Seat] {
			t.Errorf("%s: %+v, want the hash %x, 3 voters, a seat of its own", self, s, hash)
		}
		seats[s.Seat] = true
	}
	for _, other := range []quorum.Set{
		quorum.NewSet(all[0], all[1:2], 460*ms, 400*ms),
		quorum.NewSet(all[0], addrs(11, 14), 460*ms, 400*ms),
		quorum.NewSet(all[0], all[1:], 461*ms, 400*ms),
		quorum.NewSet(all[0], all[1:], 460*ms, 401*ms),
	} {
		if other.Hash == hash {
			t.Errorf("%+v has the same hash", other)
		}
	}
}

func TestMajorityIsMoreThanHalf(t *testing.T) {
	for size, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 15: 8, 16: 9} {
		if got := (quorum.Set{Size: size}).Majority(); got != want {
			t.Errorf("of %d voters %d are a majority, want %d", size, got, want)
		}
	}
}

func TestLeaseHasRoomForTwoClocks(t *testing.T) {
	for _, f := range []time.Duration{50 * ms, 200 * ms, time.Second, 10 * time.Second} {
		hold := 2 * f
		slow, fast := float64(hold)/0.99, float64(quorum.Lease(hold))/1.01
		if room := time.Duration(fast - slow); room < 30*ms {
			t.Errorf("failover %s: the lease %s leaves %s by the worst clocks, want 30ms for the kernel's ticks", f, quorum.Lease(hold), room)
		}
	}
}

// booths are three nodes; the words between them are carried by hand.
func booths(now time.Duration) []*quorum.Booth {
	all := addrs(11, 12, 13)
	var list []*quorum.Booth
	for i, self := range all {
		var peers []netip.AddrPort
		for j, p := range all {
			if j != i {
				peers = append(peers, p)
			}
		}
		b := quorum.NewBooth(quorum.NewSet(self, peers, 460*ms, 400*ms), uint64(100+i), 460*ms, 30*ms, now)
		list = append(list, &b)
	}
	return list
}

func TestVoterThatHasJustStartedWaits(t *testing.T) {
	b := booths(0)
	for round := uint64(1); round <= 46; round++ {
		now := time.Duration(round-1) * 10 * ms
		w := b[0].Speak(quorum.Ask, round, now)
		if b[1].Hear(w, 100, round, now); b[1].Granting(now) != 0 || b[0].Granting(now) != 0 {
			t.Fatalf("after %s a vote was granted", now)
		}
	}
	w := b[0].Speak(quorum.Ask, 47, 460*ms)
	if b[1].Hear(w, 100, 47, 460*ms); b[1].Granting(460*ms) != 100 || w.To != 100 || w.Round != 47 {
		t.Errorf("after a lease no vote was granted: %+v", w)
	}
}

// led is b with the first as the holder, by its own vote and the second's, at a second.
func led() []*quorum.Booth {
	b := booths(0)
	b[1].Hear(b[0].Speak(quorum.Ask, 1, time.Second), 100, 1, time.Second)
	b[0].Hear(b[1].Speak(quorum.Free, 1, time.Second), 101, 1, time.Second)
	return b
}

func TestMajorityGrantsARound(t *testing.T) {
	b := led()
	if got := b[0].Round(); got != 1 {
		t.Errorf("the newest round that was granted is %d, want 1", got)
	}
	// The vote is counted by its seat: the same one again adds nothing, and one that went to another is gone.
	b[0].Hear(quorum.Word{Set: 1}, 101, 2, time.Second)
	if got := b[0].Round(); got != 1 {
		t.Errorf("a word of other voters changed the count: round %d", got)
	}
	w := b[1].Speak(quorum.Free, 3, time.Second)
	w.To = 102
	if b[0].Hear(w, 101, 3, time.Second); b[0].Round() != 0 {
		t.Errorf("a vote for another counts: round %d", b[0].Round())
	}
}

func TestVoteIsKeptForTheWholeLeaseAndFreeAtAWord(t *testing.T) {
	b := led()
	ask := func(round uint64, now time.Duration) uint64 {
		b[1].Hear(b[2].Speak(quorum.Ask, round, now), 102, round, now)
		return b[1].Granting(now)
	}
	if got := ask(1, time.Second+459*ms); got != 100 {
		t.Fatalf("within the lease the vote went to %d", got)
	}
	if got := ask(2, time.Second+460*ms); got != 102 {
		t.Fatalf("after the lease the vote is with %d", got)
	}
	b = led()
	if got := ask(1, time.Second+10*ms); got != 100 {
		t.Fatalf("within the lease the vote went to %d", got)
	}
	if changed := b[1].Hear(b[2].Speak(quorum.Free, 2, time.Second+12*ms), 102, 2, time.Second+12*ms); changed {
		t.Error("the vote was freed by one who did not have it")
	}
	ask(3, time.Second+14*ms)
	if !b[1].Hear(b[0].Speak(quorum.Free, 2, time.Second+15*ms), 100, 2, time.Second+15*ms) || b[1].Granting(time.Second+15*ms) != 102 {
		t.Error("the vote did not go at once to who waited for it")
	}
}

func TestGrantsThatWereGivenBackDoNotCount(t *testing.T) {
	b := led()
	late := b[1].Speak(quorum.Free, 2, time.Second) // on its way
	b[0].Speak(quorum.Free, 2, time.Second)
	b[0].Speak(quorum.Ask, 3, time.Second)
	if b[0].Hear(late, 101, 2, time.Second); b[0].Round() != 0 {
		t.Errorf("round %d, which was given back, counts", b[0].Round())
	}
}
