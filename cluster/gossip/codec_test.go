package gossip

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "seed of the random tests; 0: from the clock")

func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed=%d", s)
	return rand.New(rand.NewPCG(s, 1))
}

func TestMetaSurvivesTheTrip(t *testing.T) {
	r := random(t)
	for range 1000 {
		m := Meta{
			Boot: r.Uint64(), Term: r.Uint64(), ConfigHash: r.Uint64(),
			Version: strings.Repeat("v", r.IntN(maxVersion+1)), Protocol: uint8(r.Uint32()), Priority: uint8(r.Uint32()),
			Holds: r.IntN(2) == 0, Fit: r.IntN(2) == 0,
		}
		for range r.IntN(maxMACs + 1) {
			mac := make(net.HardwareAddr, 1+r.IntN(maxMAC))
			for i := range mac {
				mac[i] = byte(r.Uint32())
			}
			m.MACs = append(m.MACs, mac)
		}
		b := m.encode()
		got, err := decodeMeta(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("decodeMeta(%x) = %+v, %v, want %+v", b, got, err, m)
		}
		later := append(bytes.Clone(b), "what a later release adds"...)
		if got, err := decodeMeta(later); err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("with trailing fields: %+v, %v, want %+v", got, err, m)
		}
		for n := range b {
			if _, err := decodeMeta(b[:n]); err == nil {
				t.Fatalf("decodeMeta of the first %d of %d bytes (%x) gave no error", n, len(b), b)
			}
		}
	}
}

func TestMetaIsBoundedWhateverIsPutIn(t *testing.T) {
	m := Meta{Version: strings.Repeat("é\n", 500)}
	for range 500 {
		m.MACs = append(m.MACs, make(net.HardwareAddr, 20), make(net.HardwareAddr, 200), nil)
	}
	b := m.encode()
	if len(b) > 230 {
		t.Errorf("%d bytes, want at most 230", len(b))
	}
	got, err := decodeMeta(b)
	if err != nil || len(got.MACs) != maxMACs || strings.ContainsAny(got.Version, "é\n") {
		t.Errorf("decodeMeta = %+v, %v", got, err)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add([]byte{})                                                             // a foreign memberlist has no metadata
	f.Add([]byte{codecVersion})                                                 // cut after the version
	f.Add([]byte{codecVersion + 1, 0, 0})                                       // a later, incompatible codec
	f.Add(Meta{}.encode())                                                      // the smallest valid
	f.Add(Meta{Boot: 1, Version: "v1", MACs: []net.HardwareAddr{{1}}}.encode()) // an ordinary one
	f.Add(append(Meta{}.encode(), 1, 2, 3))                                     // fields of a later release
	f.Add(append(make([]byte, fixedLen), 33))                                   // a version string longer than allowed
	f.Add(append(append([]byte{codecVersion}, make([]byte, fixedLen-1)...), 0, 9, 1, 1))
	f.Add(append(append([]byte{codecVersion}, make([]byte, fixedLen-1)...), 0, 1, 0)) // an empty hardware address
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		again, err := decodeMeta(m.encode())
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("decodeMeta(%x) = %+v, encoded and decoded again %+v, %v", b, m, again, err)
		}
		if len(m.encode()) > 512 {
			t.Fatalf("%d bytes", len(m.encode()))
		}
	})
}

func FuzzReadBye(f *testing.F) {
	f.Add(byeMessage("lb1", 7))
	f.Add([]byte{byeKind})                           // cut
	f.Add(byeMessage(strings.Repeat("x", 1000), 7))  // longer than any name
	f.Add([]byte("user message of somebody else's")) // not ours
	f.Fuzz(func(t *testing.T, b []byte) {
		name, boot, ok := readBye(b)
		if ok && !bytes.Equal(byeMessage(name, boot), b) {
			t.Fatalf("readBye(%x) = %q, %d", b, name, boot)
		}
	})
}

func TestConfigurationMistakesAreAllTold(t *testing.T) {
	ap := netip.MustParseAddrPort
	err := check(Config{
		Node:  "two words",
		Name:  strings.Repeat("x", 256),
		Bind:  ap("0.0.0.0:7946"),
		Peers: []netip.AddrPort{ap("0.0.0.0:7946"), ap("10.0.0.1:0"), ap("[fe80::1%eth0]:7946"), {}},
		Key:   []byte("short"),
	})
	for _, want := range []string{"two words", "printable ASCII", "256 bytes", "bind: 0.0.0.0:7946 stands for every address",
		"node's own address", "10.0.0.1:0 is not", "has a zone", "invalid AddrPort", "5 bytes long, 32 are needed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in: %v", want, err)
		}
	}
	if err := check(conf("lb1", addr1, addr2)); err != nil {
		t.Error(err)
	}
}
