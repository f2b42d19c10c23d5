package health

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// named is a backend that is known by name.
type named struct {
	mu     sync.Mutex // guards what follows
	at     netip.AddrPort
	reason string
}

func (n *named) where(string, string) (netip.AddrPort, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at, n.reason
}

func (n *named) set(at netip.AddrPort, reason string) {
	n.mu.Lock()
	n.at, n.reason = at, reason
	n.mu.Unlock()
}

func TestABackendIsProbedWhereItIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := netip.MustParseAddrPort("10.0.1.99:80")
		heads := make(chan string, 100)
		n := &named{reason: "app: there is no such name"}
		tg := Target{Pool: "web", Backend: "app", Config: Config{Type: HTTP}, Host: "app.internal:80"}
		w := startAt(t, n.where, func(f *fakeNet) {
			f.serve(web1, func(c net.Conn) { heads <- readHeader(c); _, _ = c.Write([]byte(ok)) })
		}, tg)
		defer w.stop()
		after(2 * time.Second)
		if st := w.Snapshot()[0]; st.State != Down || st.Reason != "app: there is no such name" {
			t.Errorf("without an address: %+v, want down with the reason", st)
		}
		n.set(web1, "")
		after(2 * time.Second)
		if st := w.Snapshot()[0]; st.State != Up || st.Address != web1 {
			t.Errorf("resolved: %+v, want up", st)
		}
		if head := <-heads; !strings.Contains(head, "\r\nHost: app.internal:80\r\n") {
			t.Errorf("asked %q, want the name as the host", head)
		}
		reload(t, w, tg) // what is known stays
		if st := w.Snapshot()[0]; st.State != Up || st.Address != web1 {
			t.Errorf("after a reload with other probes: %+v, want up where it was", st)
		}
		n.set(other, "") // nobody is there
		for range 20 {   // the next probe is up to an interval away
			if after(100 * time.Millisecond); w.Snapshot()[0].Address == other {
				break
			}
		}
		if st := w.Snapshot()[0]; st.State == Up || st.Address != other {
			t.Errorf("moved: %+v, want what was known of the former place forgotten", st)
		}
		after(3 * time.Second)
		if st := w.Snapshot()[0]; st.State != Down {
			t.Errorf("moved to where nobody is: %+v, want down", st)
		}
		n.set(netip.AddrPort{}, "")
		after(2 * time.Second)
		before := len(w.times(other))
		after(5 * time.Second)
		if st := w.Snapshot()[0]; st.State != Unchecked || len(w.times(other)) != before {
			t.Errorf("not in use: %+v, and probed %d times since", st, len(w.times(other))-before)
		}
	})
}

// reload has a target probed otherwise, and waits for the first of those probes.
func reload(t *testing.T, w *world, tg Target) {
	t.Helper()
	tg.Config.Fall = 5
	commit, err := w.Prepare([]Target{tg})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	after(1500 * time.Millisecond)
}
