package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const host = "app.internal"

var servers = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.54:53")}

func app(backends ...string) Name {
	return Name{Host: host, Port: 8080, Pool: "web", Backends: backends}
}

func want(t *testing.T, when string, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

func TestNamesAreAskedForAgainWhenTheirTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newServer(30), &logBuffer{}
		s.set(host, "10.0.1.1")
		got, end := world(t, Config{Servers: servers, Dial: s.dial}, log, app("a"))
		defer end()
		synctest.Wait()
		want(t, "at once", got.of("a"), "10.0.1.1:8080")
		s.set(host, "10.0.1.2")
		time.Sleep(30*time.Second - time.Millisecond)
		want(t, "before its time is over", got.of("a"), "10.0.1.1:8080")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		want(t, "afterwards", got.of("a"), "10.0.1.2:8080")
		time.Sleep(time.Hour)
		if n := s.questions(); n < 115 || n > 125 {
			t.Errorf("%d questions in an hour, want about 120", n)
		}
		if got.n != 2 {
			t.Errorf("reported %d times, want 2: only changes are news", got.n)
		}
	})
}

func TestTimeToLiveIsBounded(t *testing.T) {
	for _, c := range []struct {
		ttl      uint32
		min, max time.Duration
		hour     int // questions in it
	}{{0, 0, 0, 3600}, {1 << 31, 0, 0, 3600}, {86400, 0, 0, 12}, {1, 10 * time.Second, 0, 360}, {86400, 0, time.Minute, 60}} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(c.ttl)
			s.set(host, "10.0.1.1")
			_, end := world(t, Config{Servers: servers, MinTTL: c.min, MaxTTL: c.max, Dial: s.dial}, &logBuffer{}, app("a"))
			time.Sleep(time.Hour - time.Millisecond)
			if n := s.questions(); n != c.hour {
				t.Errorf("ttl %d, %v..%v: %d questions in an hour, want %d", c.ttl, c.min, c.max, n, c.hour)
			}
			end()
		})
	}
}

func TestTheLastGoodAnswerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newServer(5), &logBuffer{}
		s.set(host, "10.0.1.1")
		got, end := world(t, Config{Servers: servers, Dial: s.dial}, log, app("a"))
		defer end()
		synctest.Wait()
		for name, broken := range map[string]func(*server){
			"no such name": func(s *server) { delete(s.hosts, host) },
			"no address":   func(s *server) { s.hosts[host] = nil },
			"failure":      func(s *server) { s.rcode = dnsmessage.RCodeServerFailure },
			"silence":      func(s *server) { s.mute = true },
			"blocked":      func(s *server) { s.hosts[host] = []string{"0.0.0.0"} },
		} {
			s.change(broken)
			time.Sleep(10 * time.Minute)
			want(t, name, got.of("a"), "10.0.1.1:8080")
			s.change(func(s *server) { s.hosts[host], s.rcode, s.mute = []string{"10.0.1.1"}, 0, false })
			time.Sleep(time.Minute)
		}
		if n := log.count("not resolved"); n != 5 {
			t.Errorf("told %d times, want 5: once for each way", n)
		}
		if n := log.count("resolved again"); n != 5 {
			t.Errorf("told %d times that it is well again, want 5", n)
		}
	})
}

func TestANameThatNeverResolvedSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newServer(60), &logBuffer{}
		got, end := world(t, Config{Servers: servers, Dial: s.dial}, log, app("a", "b"))
		defer end()
		synctest.Wait()
		want(t, "unknown", got.of("a", "b"), "-app.internal: there is no such name -")
		s.change(func(s *server) { s.mute = true })
		time.Sleep(time.Minute)
		want(t, "silent", got.of("a", "b"), "-app.internal: name server 10.0.0.54:53: no answer in time -")
		before := s.questions()
		time.Sleep(10 * time.Minute)
		if n := s.questions() - before; n > 4*20 { // rounds of four questions, 30 s apart
			t.Errorf("%d questions in ten minutes to servers that are silent", n)
		}
		s.change(func(s *server) { s.mute = false; s.hosts[host] = []string{"10.0.1.1"} })
		time.Sleep(40 * time.Second)
		if at := got.of("a", "b"); !strings.Contains(at, "10.0.1.1:8080") || !strings.Contains(at, "-") || strings.Contains(at, "app") {
			t.Errorf("resolved at last: %q, want one in use and one not", at)
		}
	})
}

func TestServersAreAskedInOrderUntilOneKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(60)
		s.set(host, "10.0.1.1")
		dial := func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			if to == servers[0] {
				return nil, errors.New("connection refused")
			}
			return s.dial(ctx, network, to)
		}
		got, end := world(t, Config{Servers: servers, Dial: dial}, &logBuffer{}, app("a"))
		defer end()
		synctest.Wait()
		want(t, "by the second", got.of("a"), "10.0.1.1:8080")
		if !slices.Equal(s.asked, []string{"udp 10.0.0.54:53 app.internal. A"}) {
			t.Errorf("asked %q", s.asked)
		}
	})
}

func TestAnswersAreReadInEveryForm(t *testing.T) {
	for name, c := range map[string]struct {
		hosts map[string][]string
		small bool
		edit  func([]byte) []byte
		want  string
		asked int
	}{
		"IPv4 before IPv6":   {hosts: map[string][]string{host: {"2001:db8::1", "10.0.1.1"}}, want: "10.0.1.1:8080", asked: 1},
		"IPv6 alone":         {hosts: map[string][]string{host: {"2001:db8::1"}}, want: "[2001:db8::1]:8080", asked: 2},
		"alias":              {hosts: map[string][]string{host: {"=b.internal"}, "b.internal": {"=c.internal"}, "c.internal": {"10.0.1.3"}}, want: "10.0.1.3:8080", asked: 1},
		"too long for UDP":   {hosts: map[string][]string{host: {"10.0.1.1", "10.0.1.1"}}, small: true, want: "10.0.1.1:8080", asked: 2},
		"capitals":           {hosts: map[string][]string{host: {"10.0.1.1"}}, edit: func(b []byte) []byte { b[13] ^= 0x20; return b }, want: "10.0.1.1:8080", asked: 1},
		"the good ones only": {hosts: map[string][]string{host: {"127.0.0.1", "10.0.1.9", "224.0.0.1", "10.0.66.6"}}, want: "10.0.1.9:8080", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(60)
				s.hosts, s.small, s.edit = c.hosts, c.small, c.edit
				refuse := func(a netip.AddrPort) string {
					if a.Addr().String() == "10.0.66.6" {
						return "is mine"
					}
					return ""
				}
				got, end := world(t, Config{Servers: servers[:1], Dial: s.dial, Refuse: refuse}, &logBuffer{}, app("a"))
				defer end()
				time.Sleep(time.Millisecond)
				want(t, name, got.of("a"), c.want)
				if n := s.questions(); n != c.asked {
					t.Errorf("asked %d times (%q), want %d", n, s.asked, c.asked)
				}
			})
		})
	}
}

// Whoever does not know the question's number, or answers another one, is not heard.
func TestForgedAnswersAreNotHeard(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"another number":   func(b []byte) []byte { b[0] ^= 1; return b },
		"another name":     func(b []byte) []byte { b[13] = 'x'; return b },
		"another type":     func(b []byte) []byte { b[12+len(host)+3] = 28; return b },
		"a question":       func(b []byte) []byte { b[2] &^= 0x80; return b },
		"nothing":          func([]byte) []byte { return []byte{} },
		"another's answer": func(b []byte) []byte { b[12+len(host)+2+4+2+1] ^= 1; return b[:len(b)-1] },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(60)
			s.set(host, "10.0.1.1")
			s.edit = edit
			got, end := world(t, Config{Servers: servers, Dial: s.dial}, &logBuffer{}, app("a"))
			time.Sleep(20 * time.Second)
			if at := got.of("a"); !strings.HasPrefix(at, "-app.internal: ") {
				t.Errorf("%s: believed, %q", name, at)
			}
			end()
		})
	}
}

func TestManyAddressesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newServer(1), &logBuffer{}
		s.set(host, "10.0.1.1", "10.0.1.2", "10.0.1.3")
		got, end := world(t, Config{Servers: servers, Dial: s.dial}, log, app("a-1", "a-2", "a-3", "a-4"), Name{Host: host, Port: 80, Pool: "one", Backends: []string{"one"}})
		defer end()
		time.Sleep(10 * time.Second)
		all := strings.Fields(got.of("a-1", "a-2", "a-3", "a-4"))
		slices.Sort(all)
		want(t, "all", strings.Join(all, " "), "- 10.0.1.1:8080 10.0.1.2:8080 10.0.1.3:8080")
		if n := log.count("more addresses than are used"); n != 1 {
			t.Errorf("told %d times that one backend has more addresses, want once", n)
		}
		before := strings.Fields(got.of("a-1", "a-2", "a-3", "a-4"))
		s.set(host, "10.0.1.2", "10.0.1.3")
		time.Sleep(2 * time.Second)
		stayed := 0
		for i, at := range strings.Fields(got.of("a-1", "a-2", "a-3", "a-4")) {
			if at == before[i] && at != "-" {
				stayed++
			}
		}
		if stayed == 0 {
			t.Errorf("from %q all others moved", before)
		}
	})
}

func TestRunEndsInTheMiddleOfAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.mute = true
		got, end := world(t, Config{Servers: servers, Dial: s.dial}, &logBuffer{}, app("a"))
		time.Sleep(time.Second)
		end()
		s.wg.Wait()
		if got.n != 0 {
			t.Errorf("reported %d times by a question that was cut short", got.n)
		}
	})
}

func TestNamesCanBeChangedWhileTheyAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(60)
		s.set(host, "10.0.1.1", "10.0.1.2")
		s.set("other", "10.0.2.1")
		cfg := Config{Servers: servers, Dial: s.dial}
		other := Name{Host: "other", Port: 80, Pool: "web", Backends: []string{"o"}}
		r, got, end := changeable(t, cfg, &logBuffer{}, app("a"), other)
		synctest.Wait()
		s.change(func(s *server) { s.mute = true })
		asked := s.questions()
		r.Set(cfg, []Name{other, app("a-1", "a-2")}) // what is known of a host is enough for a start
		synctest.Wait()
		at := strings.Fields(got.of("a-1", "a-2", "o"))
		slices.Sort(at)
		want(t, "at once, while all servers are silent", strings.Join(at, " "), "10.0.1.1:8080 10.0.1.2:8080 10.0.2.1:80")
		if n := s.questions() - asked; n != 1 {
			t.Errorf("%d questions at a change of one name, want 1", n)
		}
		time.Sleep(10 * time.Minute)
		r.Set(cfg, nil)
		asked = s.questions()
		time.Sleep(10 * time.Minute)
		if n := s.questions() - asked; n != 0 {
			t.Errorf("%d questions for names that have gone", n)
		}
		end()
		r.Set(cfg, []Name{other}) // too late, and harmless
		s.wg.Wait()
	})
}
