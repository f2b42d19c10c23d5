package pool

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestABackendThatIsKnownByNameServesWhenItsAddressIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := netip.MustParseAddrPort("10.0.1.1:80"), netip.MustParseAddrPort("10.0.1.2:80")
		s := NewSet([]Config{{Name: "web", Panic: 90, KeepAtLeast: 1, Ejection: Ejection{After: 1, Time: time.Hour}, Backends: []BackendConfig{
			{Name: "a", Host: "app", Port: 80}, {Name: "b", Host: "app", Port: 80}, {Name: "c", Address: one},
		}}})
		p := s.Pool("web")
		b := func() BackendStatus { return s.Snapshot()[0].Backends[0] }
		see := func(when, want string) {
			t.Helper()
			if got := picked(p); got != want {
				t.Errorf("%s: picked %s, want %s", when, got, want)
			}
		}
		see("before it is resolved, in a panic", "c")
		if st := b(); st.State != Down || st.Host != "app:80" || st.Reason == "" || st.Address.IsValid() || st.Unused {
			t.Errorf("before: %+v, want down with a reason", st)
		}
		s.SetAddress("web", "a", netip.AddrPort{}, "app: there is no such name")
		if at, why := s.Where("web", "a"); at.IsValid() || why != "app: there is no such name" {
			t.Errorf("Where = %v, %q, want the reason", at, why)
		}
		s.SetAddress("web", "a", one, "")
		s.SetAddress("web", "b", netip.AddrPort{}, "")
		see("resolved", "ac")
		if st := b(); st.State != Unchecked || st.Address != one {
			t.Errorf("resolved: %+v, want unchecked at %s", st, one)
		}
		if st := s.Snapshot()[0].Backends[1]; !st.Unused || st.State == Down {
			t.Errorf("there is one address for two: %+v, want it unused", st)
		}

		e := &ending{}
		p.Backends()[0].Attach(e)
		s.SetUp("web", "a", true, "fine")
		use(t, p, "a", errBroken)
		s.SetAddress("web", "a", one, "")
		if st := b(); !st.Ejected || st.State != Up || st.Reason != "fine" {
			t.Errorf("the same address again: %+v, want nothing changed", st)
		}
		s.SetAddress("web", "a", two, "")
		if st := b(); st.Ejected || st.State != Unchecked || st.Address != two || e.ended != 0 {
			t.Errorf("another address: %+v, %d sessions ended; want a fresh start, and sessions left alone", st, e.ended)
		}
		s.SetAddress("web", "c", two, "")
		if st := s.Snapshot()[0].Backends[2]; st.Address != one {
			t.Errorf("%+v: a fixed address was changed", st)
		}
		s.SetAddress("web", "a", netip.AddrPort{}, "")
		see("its address is gone", "c")
		if l, err := p.Pick(Request{}, p.Backends()[2]); err == nil {
			t.Errorf("whoever was let down by c was given %s, which has no address", l.Backend().Name())
		}
		if e.ended != 0 {
			t.Error("sessions have ended with the address")
		}
	})
}
