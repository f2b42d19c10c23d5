package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestMessagesArriveInOrderBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		data := bytes.Repeat([]byte{7}, MaxData)
		for i, k := range []Kind{Take, Ready, Go, Cancel, Word, Answer} {
			if err := a.Send(t.Context(), "b", Message{Kind: k, Term: uint64(i), From: "mallory"}); err != nil {
				t.Fatal(err)
			}
			if err := b.Send(t.Context(), "a", Message{Kind: k, Term: uint64(i), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		for i, k := range []Kind{Take, Ready, Go, Cancel, Word, Answer} {
			if got, want := <-b.Inbox(), (Message{Kind: k, Term: uint64(i), From: "a"}); !reflect.DeepEqual(got, want) {
				t.Errorf("b got %+v, want %+v", got, want)
			}
			if got, want := <-a.Inbox(), (Message{Kind: k, Term: uint64(i), From: "b", Data: data}); !reflect.DeepEqual(got, want) {
				t.Errorf("a got %+v, want %+v", got, want)
			}
		}
	})
}

func TestMoreDataThanFitsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, &wires{})
		if err := a.Send(t.Context(), "b", Message{Kind: Word, Data: make([]byte, MaxData+1)}); err == nil {
			t.Error("sent more than a frame can carry")
		}
	})
}

func TestSendWithoutAStreamIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, &wires{}, configOf("a", 1, addrA, addrB))
		settle(time.Second)
		if err := a.Send(t.Context(), "b", Message{Kind: Take}); !errors.Is(err, ErrNoStream) {
			t.Errorf("Send = %v, want ErrNoStream", err)
		}
	})
}

func TestEndWithoutAWordIsAHint(t *testing.T) {
	for _, end := range []error{io.EOF, syscall.ECONNRESET} {
		synctest.Test(t, func(t *testing.T) {
			w := &wires{}
			a, _ := pair(t, w)
			poked(a)
			w.setRefuse(true)
			now := time.Now()
			w.endAll(addrA, end)
			synctest.Wait()
			if s := a.States()["b"]; s.Up || !s.BrokeAt.Equal(now) || !poked(a) {
				t.Errorf("after %v: %+v, want BrokeAt now and a poke", end, s)
			}
		})
	}
}

func TestTimeOutsAndLocalErrorsAreNoHints(t *testing.T) {
	for _, end := range []error{syscall.ETIMEDOUT, syscall.EHOSTUNREACH, errLocal} {
		synctest.Test(t, func(t *testing.T) {
			w := &wires{}
			a, _ := pair(t, w)
			w.setRefuse(true)
			w.endAll(addrA, end)
			synctest.Wait()
			if s := a.States()["b"]; s.Up || !s.BrokeAt.IsZero() {
				t.Errorf("after %v: %+v, want down without a hint", end, s)
			}
		})
	}
}

func TestStoppingSaysByeAndIsNoHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		at := time.Now()
		b.stop()
		synctest.Wait()
		if s := a.States()["b"]; s.Up || !s.BrokeAt.IsZero() || s.ByeAt.Before(at) {
			t.Errorf("%+v, want down, bye, no hint", s)
		}
		if m := <-a.Inbox(); m.Kind != Bye || m.From != "b" {
			t.Errorf("got %+v, want bye of b", m)
		}
		if took := time.Since(at); took > partTime {
			t.Errorf("stopping took %s", took)
		}
	})
}

func TestStreamComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		w.endAll(addrA, io.EOF)
		settle(2 * redialWithin)
		up(t, a, "b")
		up(t, b, "a")
		b.stop()
		b = start(t, w, configOf("b", 3, addrB, addrA))
		settle(2 * redialWithin)
		up(t, a, "b")
		if s := a.States()["b"]; s.Boot != 3 || !s.ByeAt.IsZero() {
			t.Errorf("%+v, want the new boot and no bye", s)
		}
		up(t, b, "a")
	})
}

// Both dial at the same moment, again and again: one stream is left, and nobody thinks of a crash.
func TestDuplicatesAreResolvedWithoutAHint(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			w := &wires{}
			a := start(t, w, configOf("a", 1, addrA, addrB))
			b := start(t, w, configOf("b", 2, addrB, addrA))
			for range 40 {
				settle(50 * time.Millisecond)
				for _, n := range []*testNode{a, b} {
					for _, s := range n.States() {
						if !s.BrokeAt.IsZero() {
							t.Fatalf("%+v\n%s\n%s", s, a.log, b.log)
						}
					}
				}
			}
			up(t, a, "b")
			up(t, b, "a")
			dials := w.dials
			settle(time.Minute)
			if w.dials != dials {
				t.Errorf("%d dials in a minute with a stream", w.dials-dials)
			}
			a.mu.Lock()
			b.mu.Lock()
			defer a.mu.Unlock()
			defer b.mu.Unlock()
			if sa, sb := a.nodes["b"].cur, b.nodes["a"].cur; sa.dialed == sb.dialed {
				t.Error("the two nodes kept different streams")
			}
		})
	}
}

// What is sent on a stream that is being given up arrives.
func TestNothingIsLostWhileDuplicatesPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a := start(t, w, configOf("a", 1, addrA, addrB))
		b := start(t, w, configOf("b", 2, addrB, addrA))
		sent, got := 0, 0
		for range 2000 {
			if a.Send(t.Context(), "b", Message{Kind: Take, Term: uint64(sent)}) == nil {
				sent++
			}
			time.Sleep(time.Millisecond)
			for {
				select {
				case <-b.Inbox():
					got++
					continue
				default:
				}
				break
			}
		}
		settle(time.Second)
		got += len(b.Inbox())
		if sent != got || sent < 1000 {
			t.Errorf("%d sent, %d arrived", sent, got)
		}
	})
}

// The peer's old stream looks alive here, because its end was lost; the peer dials again and is believed.
func TestNewStreamReplacesOneThatThePeerHasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		settle(time.Minute)
		b.mu.Lock()
		old := b.nodes["a"].cur
		b.nodes["a"].cur = nil // as if it had timed out there
		b.mu.Unlock()
		close(old.done)
		old.done = make(chan struct{})
		b.wg.Go(func() {
			c, err := w.dial(addrB)(context.Background(), addrA)
			if err != nil {
				t.Error(err)
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			b.serve(ctx, c, addrA, func() {})
		})
		settle(time.Second)
		up(t, a, "b")
		a.mu.Lock()
		cur := a.nodes["b"].cur
		a.mu.Unlock()
		if time.Since(cur.since) > 2*time.Second {
			t.Error("a clings to the old stream")
		}
		settle(20 * time.Second)
	})
}

func TestFullInboxHoldsTheStreamAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		const n = inboxSize + 1 // one waits in the reader
		for i := range n {
			if err := a.Send(t.Context(), "b", Message{Kind: Take, Term: uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for i := range n {
			if m := <-b.Inbox(); m.Term != uint64(i) {
				t.Fatalf("message %d has term %d", i, m.Term)
			}
		}
	})
}

func TestStopWithAFullInboxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		for range inboxSize + 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = a.Send(ctx, "b", Message{Kind: Take})
			cancel()
		}
		at := time.Now()
		b.stop()
		if took := time.Since(at); took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

func TestKeepaliveKeepsAndItsAbsenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		settle(time.Hour)
		up(t, a, "b")
		up(t, b, "a")
	})
}

func TestMisfitsAreToldApart(t *testing.T) {
	otherKey := append([]byte{1}, testKey[1:]...)
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"wrong key", func(c *Config) { c.Key = otherKey }, "has another key"},
		{"no key", func(c *Config) { c.Key = nil }, "is insecure"},
		{"other cluster", func(c *Config) { c.Cluster = "other" }, "cluster has another name"},
		{"same name", func(c *Config) { c.Node = "a" }, "has this node's name"},
		{"same boot", func(c *Config) { c.Boot = 1 }, "has this node's name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wires{}
				a := start(t, w, configOf("a", 1, addrA, addrB))
				cfg := configOf("b", 2, addrB, addrA)
				tt.change(&cfg)
				b := start(t, w, cfg)
				settle(10 * time.Second)
				for _, n := range []*testNode{a, b} {
					if len(n.States()) != 0 {
						t.Errorf("a stream: %+v", n.States())
					}
					if got := strings.Count(n.log.String(), tt.want); got < 1 || got > 2 { // once per address: dialed, and dialing
						t.Errorf("%q was logged %d times in 10 s, want 1 or 2:\n%s", tt.want, got, n.log)
					}
				}
			})
		})
	}
}

func TestDialingOneselfIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, &wires{}, configOf("a", 1, addrA, addrA))
		settle(5 * time.Second)
		if !strings.Contains(a.log.String(), "leads to this node itself") || len(a.States()) != 0 {
			t.Errorf("states %+v, log\n%s", a.States(), a.log)
		}
	})
}

func TestALongAbsenceIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, &wires{}, configOf("a", 1, addrA, addrB))
		settle(time.Hour)
		if got := strings.Count(a.log.String(), "no stream to a peer"); got != 1 {
			t.Errorf("told %d times:\n%s", got, a.log)
		}
	})
}

// Whatever two streams there are, the two nodes must keep the same one.
func TestBothEndsChooseTheSameStream(t *testing.T) {
	now := time.Now()
	for _, oldByA := range []bool{true, false} {
		for _, newByA := range []bool{true, false} {
			for _, age := range []time.Duration{0, lost, lost + 1, time.Hour} {
				for _, restarted := range []bool{false, true} {
					choose := func(name, other string, isA bool) bool {
						p := &Streams{cfg: Config{Node: name}}
						cur := &stream{name: other, boot: 1, dialed: oldByA == isA, since: now.Add(-age)}
						s := &stream{name: other, boot: 1, dialed: newByA == isA, since: now}
						if restarted {
							s.boot = 2
						}
						return p.better(s, cur)
					}
					a, b := choose("a", "b", true), choose("b", "a", false)
					want := restarted || age > lost || newByA // same dialer, or that of the smaller name
					if oldByA == newByA {
						want = true
					}
					if a != b || a != want {
						t.Errorf("old dialed by a %v, new by a %v, %s apart, restarted %v: a takes the new one: %v, b: %v, want %v",
							oldByA, newByA, age, restarted, a, b, want)
					}
				}
			}
		}
	}
}

// Who waits for the other's last words is not kept by a peer that hangs.
func TestStopsInTimeWhenThePeerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		for range inboxSize + 1 { // nobody reads at b: its reader is stuck
			_ = a.Send(t.Context(), "b", Message{Kind: Take})
		}
		synctest.Wait()
		at := time.Now()
		a.stop()
		if took := time.Since(at); took > writeTime+partTime {
			t.Errorf("stopping took %s", took)
		}
		b.stop()
	})
}

func TestAPeerThatSaidByeIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		settle(time.Minute)
		b.stop()
		settle(time.Hour)
		if strings.Contains(a.log.String(), "no stream to a peer") {
			t.Errorf("missed:\n%s", a.log)
		}
	})
}

func TestFlappingStreamsAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, &wires{})
		for range 60 {
			b.mu.Lock()
			cur := b.nodes["a"].cur
			b.mu.Unlock()
			if cur != nil {
				cur.giveUp(t.Context())
			}
			settle(time.Second)
		}
		for _, msg := range []string{"stream up", "stream ended"} {
			if got := strings.Count(a.log.String(), msg); got == 0 || got > 2*(flaps+1) {
				t.Errorf("%q was told %d times:\n%s", msg, got, a.log)
			}
		}
	})
}

func TestALostPeerIsMissedAfterItsStreamEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := pair(t, w)
		settle(time.Minute)
		w.setRefuse(true)
		b.mu.Lock()
		cur := b.nodes["a"].cur
		b.mu.Unlock()
		_ = cur.conn.Close()
		settle(patience - time.Second)
		if strings.Contains(a.log.String(), "no stream to a peer") {
			t.Errorf("missed too early:\n%s", a.log)
		}
		settle(5 * time.Second)
		if !strings.Contains(a.log.String(), "no stream to a peer") {
			t.Errorf("not missed:\n%s", a.log)
		}
	})
}
