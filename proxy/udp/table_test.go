package udp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func client(n int) key {
	return key{client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n >> 8)}), uint16(n))}
}

func TestFlowsThatNobodyConfirmedMakeRoomFirst(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	tb := newTable()
	talker := tb.add(client(1), at(0))
	tb.touch(talker, at(0), false)
	tb.touch(talker, at(0), true)  // an answer, which a forged address would get too
	tb.touch(talker, at(0), false) // somebody is there and has got it
	forged := tb.add(client(2), at(5))
	tb.touch(forged, at(5), false)
	tb.touch(forged, at(9), true)
	if f := tb.oldest(); f != forged {
		t.Errorf("%v makes room, want the flow whose client was not seen to get an answer", f.key)
	}
	tb.remove(forged)
	if f := tb.oldest(); f != talker {
		t.Errorf("%v makes room, want the last one", f)
	}
}

func TestIdleFlowsAreFound(t *testing.T) {
	tb := newTable()
	begin := time.Unix(100, 0)
	for i := range 4 {
		f := tb.add(client(i), begin.Add(time.Duration(i)*time.Second))
		if i%2 == 0 {
			tb.touch(f, f.began, true)
			tb.touch(f, f.began, false)
		}
	}
	var gone []string
	for now, i := begin, 0; i < 70; now, i = now.Add(time.Second), i+1 {
		for f := tb.idle(now, time.Minute); f != nil; f = tb.idle(now, time.Minute) {
			gone = append(gone, fmt.Sprintf("%d at %d", f.key.client.Port(), i))
			tb.remove(f)
		}
	}
	if got, want := fmt.Sprint(gone), "[0 at 60 1 at 61 2 at 62 3 at 63]"; got != want {
		t.Errorf("ended %s, want %s", got, want)
	}
}

func TestAnswersThatAreOwed(t *testing.T) {
	tb := newTable()
	now := time.Unix(100, 0)
	f := tb.add(client(1), now)
	tb.touch(f, now, false)
	if !tb.owed(now) || tb.owed(now.Add(1)) {
		t.Error("who has just sent is owed an answer, and later no more")
	}
	tb.touch(f, now, true)
	if tb.owed(now) {
		t.Error("an answer is owed after it came")
	}
}

// TestTableIsConsistent does random things and holds the table against a plain map.
func TestTableIsConsistent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	tb, now := newTable(), time.Unix(0, 0)
	names := map[name]key{} // of all flows there ever were
	alive := map[key]*flow{}
	for range 20_000 {
		now = now.Add(time.Duration(r.IntN(3)))
		k := client(r.IntN(64))
		f := alive[k]
		switch {
		case f == nil:
			f = tb.add(k, now)
			alive[k] = f
			names[name{f.slot, f.gen}] = k
		case r.IntN(4) == 0:
			tb.remove(f)
			delete(alive, k)
		default:
			tb.touch(f, now, r.IntN(2) == 0)
		}
	}
	for n, k := range names {
		f := tb.at(n.slot, n.gen)
		if f != nil && alive[f.key] != f || f == nil && alive[k] != nil && alive[k].slot == n.slot && alive[k].gen == n.gen {
			t.Fatalf("the name %v of %v finds %v", n, k, f)
		}
	}
	listed := 0
	for _, l := range []*lru{&tb.fresh, &tb.confirmed} {
		for f := l.tail; f != nil; f = f.prev {
			if f.prev != nil && f.prev.last.Before(f.last) || f.list != l || (l == &tb.confirmed) != f.confirmed {
				t.Fatalf("%v is at a wrong place", f.key)
			}
			listed++
		}
	}
	if listed != len(alive) || tb.len() != len(alive) {
		t.Fatalf("%d flows are listed, %d found by key, want %d", listed, tb.len(), len(alive))
	}
}
