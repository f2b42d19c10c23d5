package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var addrX = netip.MustParseAddrPort("10.0.0.66:666")

func TestSilentStrangersAreClosedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		start(t, w, configOf("a", 1, addrA, addrB))
		synctest.Wait()
		c, err := w.dial(addrX)(t.Context(), addrA)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(at) != shakeTime {
			t.Errorf("Read = %v after %s, want EOF after %s", err, time.Since(at), shakeTime)
		}
	})
}

func TestStrangersCannotCrowdOutThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		cfg := configOf("a", 1, addrA, addrB)
		cfg.Listen = w.listen(addrA)
		cfg.Dial = func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errLocal } // b must get in by itself
		a := start(t, w, cfg)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		flooding := make(chan struct{})
		go func() {
			defer close(flooding)
			for ctx.Err() == nil {
				if _, err := w.dial(addrX)(ctx, addrA); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		settle(100 * time.Millisecond)
		if n := len(a.strange); n != maxStrangers {
			t.Errorf("%d strangers in handshakes, want %d", n, maxStrangers)
		}
		b := start(t, w, configOf("b", 2, addrB, addrA))
		settle(2 * redialWithin)
		up(t, b, "a")
		up(t, a, "b")
		cancel()
		<-flooding
	})
}

// A frame bent on the way ends the stream, and neither side thinks that the other has died.
func TestBentFrameEndsTheStreamWithoutAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		w.setRefuse(true)
		a.mu.Lock()
		s := a.nodes["b"].cur
		a.mu.Unlock()
		s.wmu.Lock()
		frame := s.f.frame(Message{Kind: Take})
		frame[5] ^= 1
		_ = s.conn.SetWriteDeadline(time.Time{})
		_, err := s.conn.Write(frame)
		s.wmu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		settle(partTime)
		for n, other := range map[*testNode]string{a: "b", b: "a"} {
			if s := n.States()[other]; s.Up || !s.BrokeAt.IsZero() {
				t.Errorf("%+v, want down without a hint", s)
			}
		}
		if !strings.Contains(b.log.String(), "damaged or forged") {
			t.Errorf("log:\n%s", b.log)
		}
		if len(b.Inbox()) != 0 {
			t.Error("the bent frame was delivered")
		}
	})
}

// Messages of a later version are passed over.
func TestUnknownKindsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		_ = a.Send(t.Context(), "b", Message{Kind: 200})
		_ = a.Send(t.Context(), "b", Message{Kind: Go})
		if m := <-b.Inbox(); m.Kind != Go {
			t.Errorf("got %+v", m)
		}
		up(t, a, "b")
	})
}

func TestRefusalsOfManyAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, &wires{}, configOf("a", 1, addrA))
		told := 0
		for i := range 1000 {
			if a.mayTell("x", netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String()) {
				told++
			}
		}
		if told > maxTold+1 || len(a.told) > maxTold+1 {
			t.Errorf("%d told, %d remembered", told, len(a.told))
		}
		time.Sleep(quiet)
		if !a.mayTell("x", "10.9.9.9") {
			t.Error("nothing is told after a quiet minute")
		}
	})
}
