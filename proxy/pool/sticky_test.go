package pool

import "testing"

func sticky2(secret string) func(*Config) {
	return func(c *Config) { c.Cookie, c.Secret = "tandem", []byte(secret) }
}

func TestTwoNodesKnowEachOthersCookies(t *testing.T) {
	_, p := of(t, RoundRobin, equal(2), sticky2("key"))
	_, q := of(t, LeastConn, equal(2), sticky2("key"))
	for i, b := range p.Backends() {
		if got := q.Sticky(b.Cookie()); got != q.Backends()[i] {
			t.Errorf("the cookie of %s means %v on the other node", b.Name(), got)
		}
	}
	_, stranger := of(t, RoundRobin, equal(2), sticky2("another key"))
	if got := stranger.Sticky(p.Backends()[0].Cookie()); got != nil {
		t.Error("a cookie made with another key is known")
	}
	if p.Backends()[0].Cookie() == p.Backends()[1].Cookie() || len(p.Backends()[0].Cookie()) != 22 {
		t.Errorf("cookies %q and %q", p.Backends()[0].Cookie(), p.Backends()[1].Cookie())
	}
}

func TestCookieMeansNothingInAnotherPool(t *testing.T) {
	_, p := of(t, RoundRobin, equal(2), sticky2("key"))
	q := NewSet([]Config{{Name: "other", Cookie: "tandem", Secret: []byte("key"), Backends: []BackendConfig{{Name: "a"}}}}).Pool("other")
	if q.Sticky(p.Backends()[0].Cookie()) != nil {
		t.Error("the cookie of one pool is known in another")
	}
	for _, wrong := range []string{"", "a", "web\x00a"} {
		if p.Sticky(wrong) != nil {
			t.Errorf("%q is a cookie", wrong)
		}
	}
}

func TestStickyClientComesBackWhileItsBackendServes(t *testing.T) {
	for _, balance := range all() {
		s, p := of(t, balance, equal(4), sticky2("key"))
		c := p.Backends()[2]
		for range 20 {
			l := mustPick(t, p, Request{Sticky: c})
			if l.Backend() != c {
				t.Fatalf("%s: picked %s, want c", balance, l.Backend().Name())
			}
			l.Done(nil)
		}
		if l := mustPick(t, p, Request{Sticky: c}, c); l.Backend() == c {
			t.Errorf("%s: picked c although it was tried already", balance)
		}
		s.SetUp("web", "c", false, "refused")
		if l := mustPick(t, p, Request{Sticky: c}); l.Backend() == c {
			t.Errorf("%s: picked c, which is down", balance)
		}
	}
}
