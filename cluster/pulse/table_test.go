package pulse

import (
	"bytes"
	"math"
	"math/bits"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

const testFailover = 200 * time.Millisecond

// newTable makes the state of a node; there is no thread, and time is what the test says.
func newTable(t testing.TB, name string, boot uint64) *table {
	t.Helper()
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.Derive("tandem beat v1", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &table{
		name: name, boot: boot, keyID: key.ID, openID: seal.OpenID(), cluster: seal.Cluster(""),
		mac: seal.NewMAC(secret), failover: testFailover, peers: map[string]*peerState{},
	}
}

// beat makes the next datagram of ta.
func (ta *table) next(now time.Duration, b Beat) []byte {
	ta.sent++
	b.Boot, b.Seq = ta.boot, ta.sent
	d := datagram{keyID: ta.keyID, cluster: ta.cluster, name: []byte(ta.name), beat: b}
	ta.fill(&d, now)
	return ta.mac.Append(d.appendTo(nil), 0)
}

func TestDatagramsSurviveTheWire(t *testing.T) {
	ta := newTable(t, "a", 1)
	d := datagram{keyID: ta.keyID, cluster: ta.cluster, name: []byte(strings.Repeat("n", seal.MaxName)), n: maxEchoes, paths: MaxPaths, beat: Beat{
		Boot: math.MaxUint64, Seq: 2, Term: 3, Newest: math.MaxUint64, Priority: 254, Rank: 65535,
		Holds: true, Wants: true, Served: true, Leaving: true,
		Vote: Vote{Set: math.MaxUint64, Seat: 15, Plea: quorum.Free, To: 7, Round: 8, Favours: 9},
	}}
	for i := range d.echoes {
		d.echoes[i] = echo{boot: uint64(i + 1), seq: uint64(i), age: time.Duration(i) * time.Hour, candidate: i >= maxPeers}
		if i < maxPeers {
			d.echoes[i].paths = [MaxPaths]uint16{uint16(i), 2, longAgo, 4}
		}
	}
	b := ta.mac.Append(d.appendTo(nil), 0)
	if len(b) > 1400 || len(b) != maxSize {
		t.Errorf("the longest beat has %d bytes, want %d and at most 1400", len(b), maxSize)
	}
	var got datagram
	if c := got.decode(b); c != Fine || !reflect.DeepEqual(got, d) {
		t.Errorf("decode = %v, %+v, want %+v", c, got, d)
	}
}

func TestEachFlagTravelsAlone(t *testing.T) {
	fields := reflect.TypeFor[Beat]()
	var used uint32
	for i := range fields.NumField() {
		if fields.Field(i).Type.Kind() != reflect.Bool {
			continue
		}
		var b, back Beat
		reflect.ValueOf(&b).Elem().Field(i).SetBool(true)
		bit := flags(&b)
		if bits.OnesCount32(bit) != 1 || bit&used != 0 {
			t.Errorf("%s is sent as %b, want one bit that no other has", fields.Field(i).Name, bit)
		}
		used |= bit
		setFlags(&back, bit)
		if back != b {
			t.Errorf("%s comes back as %+v", fields.Field(i).Name, back)
		}
	}
}

func TestHearingAllocatesNothing(t *testing.T) {
	x, y := newTable(t, "a", 1), newTable(t, "b", 2)
	var bd board
	bd.base = time.Now()
	now := time.Second
	buf := make([]byte, 0, maxSize)
	var d datagram
	from := netip.MustParseAddrPort("10.0.0.2:7947")
	heard := 0
	round := func(s, r *table) {
		s.sent++
		d.keyID, d.cluster, d.name = s.keyID, s.cluster, append(d.name[:0], s.name...)
		d.beat = Beat{Boot: s.boot, Seq: s.sent, Fit: true}
		s.fill(&d, now)
		o := r.receive(s.mac.Append(d.appendTo(buf), 0), from, 0, now, now)
		if o.cause == Fine {
			heard++
			bd.show(o.peer)
		}
	}
	for range 3 {
		round(x, y)
		round(y, x)
	}
	heard = 0
	if n := testing.AllocsPerRun(100, func() {
		now += 10 * time.Millisecond
		round(x, y)
		round(y, x)
	}); n != 0 {
		t.Errorf("%v allocations per two beats, want 0", n)
	}
	if heard < 200 {
		t.Errorf("%d beats heard, want 200", heard)
	}
}

// A stranger who knows old beats cannot fill the table so that a true peer finds no place.
func TestOldNamesGiveWay(t *testing.T) {
	x := newTable(t, "a", 1)
	for i := range 40 {
		old := newTable(t, string(rune('A'+i)), uint64(100+i))
		x.receive(old.next(0, Beat{}), netip.AddrPort{}, 0, time.Duration(i)*time.Second, 0)
	}
	y := newTable(t, "b", 2)
	now := 45 * time.Second
	x.receive(y.next(now, Beat{}), netip.AddrPort{}, 0, now, now)
	y.receive(x.next(now, Beat{}), netip.AddrPort{}, 0, now, now)
	if o := x.receive(y.next(now, Beat{}), netip.AddrPort{}, 0, now, now); o.cause != Fine {
		t.Errorf("the true peer: %v", o.cause)
	}
}

// FuzzDecode: any bytes; what is accepted says the same when it is written again.
func FuzzDecode(f *testing.F) {
	ta := newTable(f, "a", 1)
	f.Add(ta.next(0, Beat{Holds: true}))                        // a true beat
	f.Add([]byte{})                                             // an empty datagram
	f.Add([]byte("TNDB"))                                       // ends before the version
	f.Add(append([]byte("TNDB\x02"), make([]byte, 200)...))     // of a later version
	f.Add(append([]byte("TNDB\x01\xff"), make([]byte, 200)...)) // more echoes than can be
	f.Add(make([]byte, maxSize+1))                              // too long
	f.Fuzz(func(t *testing.T, b []byte) {
		var d datagram
		if d.decode(b) != Fine {
			return
		}
		if d.n > maxEchoes || len(d.name) > seal.MaxName {
			t.Fatalf("out of bounds: %+v", d)
		}
		var e datagram
		again := append(d.appendTo(nil), make([]byte, seal.Size)...)
		if c := e.decode(again); c != Fine || !reflect.DeepEqual(d, e) {
			t.Fatalf("%+v became %+v (%v)", d, e, c)
		}
	})
}

// FuzzHostile drives two nodes that talk, while a stranger without the key, who has recorded everything since before the restart of either, sends
// recorded beats, whole and bent, in any order to any of them. Nothing that it sends may be heard, and the two never cease to hear each other.
//
// Each byte of the script is one step: what to do, and to whom.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 64, 65, 66, 67})                          // talk, then replay all
	f.Add([]byte{0, 1, 0, 1, 2, 64, 65, 0, 1, 0, 1, 64, 65, 66, 67})   // a restarts between
	f.Add([]byte{0, 1, 0, 1, 3, 64, 65, 66, 0, 1, 0, 1, 64, 65, 66})   // b restarts between
	f.Add([]byte{0, 1, 0, 1, 3, 0, 1, 0, 1, 3, 0, 1, 0, 1, 64, 128})   // twice
	f.Add([]byte{0, 1, 4, 0, 1, 4, 1, 1, 1, 4, 64, 70, 200, 201, 255}) // with time between
	f.Fuzz(func(t *testing.T, script []byte) {
		nodes := [2]*table{newTable(t, "a", 1), newTable(t, "b", 2)}
		boots := uint64(2)
		var tape [][]byte
		now := time.Second
		talk := func(i int) {
			b := nodes[i].next(now, Beat{Term: nodes[i].boot})
			tape = append(tape, b)
			nodes[1-i].receive(bytes.Clone(b), netip.AddrPort{}, 0, now, now)
		}
		for _, op := range script[:min(len(script), 500)] {
			now += time.Millisecond
			switch {
			case op < 2:
				talk(int(op))
			case op < 4: // restart; what the old life said goes on being on the tape
				boots++
				i := int(op - 2)
				nodes[i] = newTable(t, nodes[i].name, boots)
			case op < 64:
				now += time.Duration(op) * 100 * time.Millisecond
			case len(tape) > 0:
				b := bytes.Clone(tape[int(op)*7%len(tape)])
				if op%5 == 0 {
					b[int(op)*13%len(b)] ^= 1 << (op % 8)
				}
				// A replay of the newest beat to whom it was for is no replay, but every recorded beat has been delivered already.
				for i := range nodes {
					before := knowledge(nodes[i])
					o := nodes[i].receive(b, netip.AddrPort{}, 0, now, now)
					if o.cause == Fine || o.changed || !reflect.DeepEqual(before, knowledge(nodes[i])) {
						t.Fatalf("%s heard a replay: %+v", nodes[i].name, o)
					}
				}
			}
		}
		for range 4 {
			now += 10 * time.Millisecond
			talk(0)
			talk(1)
		}
		for i, n := range nodes {
			p := n.peers[nodes[1-i].name]
			if p == nil || p.boot != nodes[1-i].boot || p.heard < now-time.Millisecond || !p.hearsMe {
				t.Fatalf("%s does not hear %s at the end: %+v", n.name, nodes[1-i].name, p)
			}
		}
	})
}

// knowledge is what a table believes of its peers.
func knowledge(t *table) map[string]any {
	k := map[string]any{}
	for name, p := range t.peers {
		if p.boot != 0 {
			k[name] = [...]any{p.boot, p.seq, p.beat, p.addr, p.heard, p.arrived, p.hearsMe, p.deafFor}
		}
	}
	return k
}
