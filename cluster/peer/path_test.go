package peer

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// One of two paths is gone: the stream comes back over the other, to the same node.
func TestAStreamComesBackOverTheOtherPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cableA, cableB := netip.MustParseAddrPort("192.168.9.1:7947"), netip.MustParseAddrPort("192.168.9.2:7947")
		var w wires
		ca, cb := configOf("a", 1, addrA, addrB), configOf("b", 2, addrB, addrA)
		ca.Paths = []Path{{Bind: cableA, Peers: []netip.AddrPort{cableB}}}
		cb.Paths = []Path{{Bind: cableB, Peers: []netip.AddrPort{cableA}}}
		both := func(main, cable netip.AddrPort) func(context.Context) (net.Listener, error) {
			return func(ctx context.Context) (net.Listener, error) {
				l, err := w.listen(main)(ctx)
				w.mu.Lock()
				w.listeners[cable] = w.listeners[main]
				w.mu.Unlock()
				return l, err
			}
		}
		ca.Listen, ca.Dial = both(addrA, cableA), w.dial(addrA)
		cb.Listen, cb.Dial = both(addrB, cableB), w.dial(addrB)
		a, b := start(t, &w, ca), start(t, &w, cb)
		settle(2 * time.Second)
		up(t, a, "b")
		up(t, b, "a")
		w.mu.Lock()
		delete(w.listeners, addrA)
		delete(w.listeners, addrB)
		w.mu.Unlock()
		w.endAll(addrA, context.DeadlineExceeded)
		w.endAll(addrB, context.DeadlineExceeded)
		settle(3 * time.Second)
		up(t, a, "b")
		up(t, b, "a")
		if s := a.States(); len(s) != 1 || !s["b"].BrokeAt.IsZero() {
			t.Errorf("a knows %+v", s)
		}
	})
}
