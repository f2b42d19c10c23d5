package resolve

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// Over the sockets of this host: by UDP, and by TCP what does not fit.
func TestRealSockets(t *testing.T) {
	s := newServer(60)
	s.set(host, "10.0.1.1", "10.0.1.2")
	s.small = true
	pc, l, at := onePort(t)
	s.wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(s.answer(buf[:n], "udp", at), from)
		}
	})
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c, "tcp", at)
			c.Close()
		}
	})
	t.Cleanup(func() { pc.Close(); l.Close(); s.wg.Wait() })
	cfg := Config{Servers: []netip.AddrPort{at}}.withDefaults()
	r := New(cfg, nil, nil, nil)
	a, err := r.lookup(t.Context(), &cfg, host)
	if err != nil || len(a.addrs) != 2 {
		t.Errorf("%+v, %v; want both addresses", a, err)
	}
	if _, err := r.lookup(t.Context(), &cfg, "nobody.internal"); !errors.Is(err, errNotFound) {
		t.Errorf("a name that is not there: %v", err)
	}
}

// onePort opens the same port for both protocols, which others may have for one of them.
func onePort(t *testing.T) (net.PacketConn, net.Listener, netip.AddrPort) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l, err := net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, l, pc.LocalAddr().(*net.UDPAddr).AddrPort()
		}
		pc.Close()
	}
	t.Fatal("no port is free for both protocols")
	return nil, nil, netip.AddrPort{}
}

// What a server sends by TCP is bounded by its own word, and may end anywhere.
func TestCutAnswersByTCP(t *testing.T) {
	for _, sent := range [][]byte{nil, {0}, {0, 5, 1}, binary.BigEndian.AppendUint16(nil, 0)} {
		mine, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer theirs.Close()
			_, _ = theirs.Read(make([]byte, 4096))
			_, _ = theirs.Write(sent)
		}()
		if a, err := overTCP(mine, []byte("question"), 1, host, 1); err == nil || errors.Is(err, io.ErrNoProgress) {
			t.Errorf("%v: %+v, %v", sent, a, err)
		}
		mine.Close()
		<-done
	}
}
