package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"
)

func TestTableTellsLeavingFromDying(t *testing.T) {
	now := time.Unix(1000, 0)
	type step func(*table) []event
	join := func(tb *table) []event { return tb.join("lb2", addr2, Meta{Boot: 2}, now) }
	third := func(tb *table) []event { return tb.join("lb3", addr3, Meta{Boot: 3}, now) }
	leave := func(tb *table) []event { return tb.leave("lb2", now) }
	fail := func(tb *table) []event { tb.failed["lb2"] = true; return nil }
	bye := func(boot uint64) step { return func(tb *table) []event { return tb.goodbye("lb2", boot, now) } }
	restart := func(tb *table) []event { return tb.update("lb2", addr2, Meta{Boot: 22}, now) }
	for _, c := range []struct {
		name  string
		steps []step
		want  State
	}{
		{"own probes failed", []step{join, fail, leave}, Lost},
		{"said goodbye", []step{join, third, bye(2), leave}, Left},
		{"goodbye, and the leave was lost", []step{join, bye(2), fail, leave}, Left},
		{"goodbye after the leave", []step{join, third, leave, bye(2)}, Left},
		{"leave in a pair, goodbye lost", []step{join, leave}, Left},
		{"declared dead by a third", []step{join, third, leave}, Lost},
		{"goodbye of an earlier process", []step{join, restart, third, bye(2), leave}, Lost},
		{"goodbye before a restart", []step{join, third, bye(2), restart, leave}, Lost},
		{"lost and came back", []step{join, fail, leave, join}, Alive},
		{"goodbye of one that is alive", []step{join, bye(2)}, Alive},
		{"nobody knows it", []step{leave, bye(2), fail}, ""},
	} {
		tb := newTable()
		for _, s := range c.steps {
			s(&tb)
		}
		var got State
		if m := tb.members["lb2"]; m != nil {
			got = m.State
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	tb := newTable()
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 7946)
	}
	for i := range maxMembers {
		tb.join(fmt.Sprint("lb", i), addr(i), Meta{}, now)
	}
	if tb.room("new") || !tb.room("lb0") {
		t.Error("a full table must have room for those it knows only")
	}
	tb.leave("lb5", now)
	tb.leave("lb6", now.Add(time.Second))
	if !tb.room("new") {
		t.Error("no room although one is gone")
	}
	tb.join("new", addr(100), Meta{}, now)
	if len(tb.members) != maxMembers || tb.members["lb5"] != nil || tb.members["lb6"] == nil {
		t.Errorf("%d members; the one that is gone for longest must make room", len(tb.members))
	}
}

func TestProblemsAreToldOncePerMinuteAndWhenOver(t *testing.T) {
	now := time.Unix(1000, 0)
	p := problems{}
	told := 0
	for range 150 { // a minute and a quarter, twice a second
		if p.seen("a", wrongKey, "", "", false, now) {
			told++
		}
		now = now.Add(500 * time.Millisecond)
	}
	if told != 2 {
		t.Errorf("told %d times in 75 s, want 2", told)
	}
	if !p.seen("a", wrongName, "", "", false, now) || !p.seen("b", wrongKey, "", "", true, now) {
		t.Error("another cause and another peer are other problems")
	}
	if over := p.expire(now.Add(gone)); len(over) != 2 {
		t.Errorf("%d are over, want the two that end by silence: %+v", len(over), over)
	}
	if over := p.clear("b", now.Add(time.Second), wrongKey, wrongName); len(over) != 1 || over[0].took != time.Second {
		t.Errorf("cleared %+v", over)
	}
	for i := range 1000 {
		p.seen(fmt.Sprint("forged", i), wrongKey, "", "", false, now)
	}
	if len(p) > maxProblems {
		t.Errorf("%d problems, want at most %d", len(p), maxProblems)
	}
}

func TestFullClusterRefusesStrangersOnly(t *testing.T) {
	g, err := New(conf("lb1", addr1, addr2), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	cb := callbacks{g}
	node := func(i int) *memberlist.Node {
		return &memberlist.Node{Name: fmt.Sprint("n", i), Addr: net.IP{10, 0, 1, byte(i)}, Port: 7946, Meta: Meta{}.encode(),
			DMin: codecVersion, DMax: codecVersion, DCur: codecVersion}
	}
	for i := range maxMembers {
		if err := cb.NotifyAlive(node(i)); err != nil {
			t.Fatal(err)
		}
		cb.NotifyJoin(node(i))
	}
	if err := cb.NotifyAlive(node(200)); err == nil {
		t.Errorf("member %d was let in", maxMembers+1)
	}
	if err := cb.NotifyAlive(node(0)); err != nil {
		t.Errorf("a member was refused: %v", err)
	}
	for _, spoil := range []func(*memberlist.Node){
		func(n *memberlist.Node) { n.Addr = net.IP{1, 2, 3} },
		func(n *memberlist.Node) { n.Port = 0 },
		func(n *memberlist.Node) { n.DMin = codecVersion + 1 },
	} {
		n := node(0)
		spoil(n)
		if err := cb.NotifyAlive(n); err == nil {
			t.Errorf("%+v was let in", n)
		}
	}
}
