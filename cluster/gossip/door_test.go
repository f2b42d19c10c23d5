package gossip

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// knocker is a connection from an address.
type knocker struct {
	net.Conn
	from netip.AddrPort
	sent int
}

func (k *knocker) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(k.from) }
func (k *knocker) Close() error         { return nil }
func (k *knocker) Read(b []byte) (int, error) {
	k.sent += len(b)
	return len(b), nil
}

func TestStreamsThatComeInAreBounded(t *testing.T) {
	d := newDoor([]netip.AddrPort{addr2})
	port := uint16(1000)
	knock := func(a netip.Addr) net.Conn {
		port++
		return d.admit(&knocker{from: netip.AddrPortFrom(a, port)})
	}
	var in []net.Conn
	a := netip.MustParseAddr("10.0.1.0")
	for range maxStrangers {
		a = a.Next()
		in = append(in, knock(a))
	}
	for i, c := range in {
		if c == nil {
			t.Fatalf("stranger %d was kept out", i+1)
		}
	}
	if knock(a.Next()) != nil {
		t.Error("a stranger too many was let in")
	}
	for i := range maxFrom + 1 {
		if c := knock(addr2.Addr()); (c != nil) != (i < maxFrom) {
			t.Errorf("a peer's stream %d beside a crowd of strangers: let in %v", i+1, c != nil)
		}
	}
	_, _ = in[0].Close(), in[0].Close() // twice, as memberlist may
	if knock(a.Next()) == nil || knock(a.Next()) != nil {
		t.Error("one stranger left, and not one more was let in")
	}
	for _, c := range in[3:5] {
		if c.Close() != nil || knock(a) == nil {
			t.Error("a further stream of an address was kept out though there was room")
		}
	}
}

func TestOfAStreamNoMoreIsReadThanAMemberSends(t *testing.T) {
	k := &knocker{from: addr3}
	n, err := io.Copy(io.Discard, newDoor(nil).admit(k))
	if !errors.Is(err, errTalkative) || n != maxStream || k.sent != maxStream {
		t.Errorf("read %d bytes of %d, %v; want %d and %v", n, k.sent, err, maxStream, errTalkative)
	}
}

// TestCrowdOfStrangersKeepsNoPeerOut: over the kernel's network, with memberlist behind the door.
func TestCrowdOfStrangersKeepsNoPeerOut(t *testing.T) {
	at1, at2 := freePort(t, "127.0.0.16"), freePort(t, "127.0.0.17")
	a := start(t, nil, conf("lb1", at1, at2), Meta{Boot: 1})
	b := start(t, nil, conf("lb2", at2, at1), Meta{Boot: 2})
	waitFor(t, a, "join", func() bool { return a.state("lb2") == Alive })
	b.leave()
	waitFor(t, a, "leave", func() bool { return a.state("lb2") == Left || a.state("lb2") == Lost }) // lost, if it was stalled before
	claim := binary.BigEndian.AppendUint32([]byte{10}, 19<<20)                                      // an encrypted message, of 19 MiB
	stop := time.Now().Add(10 * time.Second)
	open := 0
	for i := range 2 * maxStrangers {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}, Deadline: stop}
		c, err := d.DialContext(t.Context(), "tcp", at1.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write(claim); err == nil {
			open++
		}
	}
	b = start(t, nil, conf("lb2", at2, at1), Meta{Boot: 3})
	waitFor(t, a, "join beside a crowd", func() bool { return a.state("lb2") == Alive })
	b.leave()
	a.leave()
	if open == 0 {
		t.Error("there was no crowd")
	}
}
