package mirror

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/tandem-lb/tandem/internal/checksum"
)

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	macG = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	beat = []byte("TNDB and what follows")
)

// asked are requests of both families.
func asked() []request {
	ip := netip.MustParseAddr
	return []request{
		{Src: macA, Dst: macG, Peer: ip("10.0.0.12"), Mirror: ip("10.0.0.1"), Seq: 7, Beat: beat},
		{Src: macA, Dst: macG, Peer: ip("fd00::12"), Mirror: ip("fd00::1"), Seq: 7, Beat: beat},
	}
}

// answer does what a host does that is pinged: it swaps the addresses and calls it a reply.
func answer(frame []byte) []byte {
	b := bytes.Clone(frame)
	swap := func(i, j, n int) {
		for k := range n {
			b[i+k], b[j+k] = b[j+k], b[i+k]
		}
	}
	if binary.BigEndian.Uint16(b[12:]) == 0x0800 {
		swap(etherSize+12, etherSize+16, 4)
		b[etherSize+ip4Size] = reply4
		return b
	}
	swap(etherSize+8, etherSize+24, 16)
	b[etherSize+ip6Size] = reply6
	return b
}

// sound checks lengths and checksums as a receiver does.
func sound(t *testing.T, frame []byte) {
	t.Helper()
	b := frame[etherSize:]
	if b[0]>>4 == 4 {
		if int(binary.BigEndian.Uint16(b[2:])) != len(b) || checksum.Of(0, b[:ip4Size]) != 0 || checksum.Of(0, b[ip4Size:]) != 0 {
			t.Errorf("damaged: % x", frame)
		}
		return
	}
	pseudo := checksum.Add(58+uint32(len(b)-ip6Size), b[8:40])
	if int(binary.BigEndian.Uint16(b[4:])) != len(b)-ip6Size || checksum.Of(pseudo, b[ip6Size:]) != 0 {
		t.Errorf("damaged: % x", frame)
	}
}

func TestAnAnsweredRequestIsABeatForThePeer(t *testing.T) {
	for _, r := range asked() {
		f := r.appendTo(nil)
		sound(t, f)
		if _, _, err := parse(f); err == nil {
			t.Errorf("%s: a request was taken for a reply", r.Mirror)
		}
		got, from, err := parse(answer(f))
		if err != nil || !bytes.Equal(got, beat) || from != r.Mirror {
			t.Errorf("%s: parse = %q from %s, %v", r.Mirror, got, from, err)
		}
		if !bytes.Equal(f[:6], macG) || !bytes.Equal(f[6:12], macA) {
			t.Errorf("%s: to % x from % x", r.Mirror, f[:6], f[6:12])
		}
	}
}

func TestFilterLetsOnlyRepliesWithBeatsPass(t *testing.T) {
	for i, filter := range [][]bpf.Instruction{filter4(), filter6()} {
		vm, err := bpf.NewVM(filter)
		if err != nil {
			t.Fatal(err)
		}
		r := asked()[i]
		f := r.appendTo(nil)
		other := r
		other.Beat = []byte("somebody else's ping")
		tcp := answer(f)
		if i == 0 {
			tcp[etherSize+9] = 6
		} else {
			tcp[etherSize+6] = 6
		}
		for what, c := range map[string]struct {
			frame []byte
			pass  bool
		}{
			"a reply with a beat": {answer(f), true}, "a request": {f, false}, "another reply": {answer(other.appendTo(nil)), false},
			"TCP": {tcp, false}, "half a header": {f[:20], false}, "nothing": {nil, false},
		} {
			if n, err := vm.Run(c.frame); err != nil || (n > 0) != c.pass {
				t.Errorf("%s: %s: %d bytes, %v, want it to pass: %v", r.Mirror, what, n, err, c.pass)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range asked() {
		f.Add(answer(r.appendTo(nil)))       // a true reply
		f.Add(answer(r.appendTo(nil))[:45])  // cut
		f.Add(append(r.appendTo(nil), 0, 0)) // with the padding of a short frame
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, from, err := parse(b)
		if err == nil && (!bytes.HasPrefix(got, []byte(magic)) || !from.IsValid() || len(got) > len(b)) {
			t.Fatalf("parse(% x) = % x from %s", b, got, from)
		}
	})
}
