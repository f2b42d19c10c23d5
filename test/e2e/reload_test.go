package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// write changes a node's file.
func (s *scene) write(n *lab.Node, change func(config string) string) {
	s.t.Helper()
	s.must(os.WriteFile(n.ConfigPath(), []byte(change(n.Config())), 0o600))
}

// A hundred reloads, by command and by SIGHUP, of all kinds of changes: no request fails, no open connection ends, nothing moves, and nobody is late.
func TestHundredReloadsUnderLoadAreSeenByNobody(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		dense, err := s.Client.Client(netip.AddrPortFrom(s.VIP, lab.PortHTTP), 2*time.Millisecond)
		s.must(err)
		crowd, err := s.Crowd.Crowd(netip.AddrPortFrom(s.VIP, lab.PortTCP), 50)
		s.must(err)
		third := fmt.Sprintf("\n      - {name: web3, address: %q}", s.Backends[0].Addr())
		s.begin()
		for i := range 100 {
			n := s.Nodes[i%2]
			s.write(n, func(config string) string {
				for _, c := range [][2]string{
					{"balance: round-robin", "balance: " + []string{"round-robin", "least-conn", "p2c", "maglev"}[i%4]},
					{"rise: 2", fmt.Sprintf("rise: %d", 1+i%3)},
					{"cluster:\n", fmt.Sprintf("drain: %ds\ncluster:\n", 5+i%5)},
					{"protocol: http,", "protocol: http, request_id: " + []string{"X-A", "X-B"}[i/2%2] + ","},
				} {
					config = strings.Replace(config, c[0], c[1], 1)
				}
				if i/2%2 == 0 {
					config = strings.TrimRight(config, "\n") + third + "\n"
					config = strings.Replace(config, "listeners:\n", "listeners:\n  - {name: extra, bind: \"127.0.0.1:8099\", protocol: http, pool: web}\n", 1)
				}
				return config
			})
			if i%10 < 8 {
				s.must(n.Procs[0].Signal(syscall.SIGHUP))
				s.until("the reload", func() bool { return s.count(n, "tandem: reloaded:") == 1+i/2 })
				continue
			}
			if a := s.in(n.Host, "reload", "--socket", n.Socket()); a.status != 0 || !strings.Contains(a.stdout, "~ pool web: ") {
				t.Fatalf("reload %d: %+v", i, a)
			}
		}
		r, v := s.seen()
		s.stayed(r, v, 0)
		from, to := s.from, time.Now()
		s.pass(lab.Patience)
		if r := dense.Report(from, to); r.Failed > 0 || r.Attempts == 0 {
			t.Errorf("of the dense load: %s", r)
		}
		if n := crowd.Broken(); n > 0 {
			t.Errorf("%d of %d open connections have ended", n, crowd.Len())
		}
		for _, n := range s.Nodes {
			for _, words := range []string{"was late", "silent", "took over", "let go", "gate"} {
				if s.said(n, words) {
					t.Errorf("the log of %s says %q", n.Name(), words)
				}
			}
		}
	})
}

func (s *scene) count(n *lab.Node, words string) int {
	s.t.Helper()
	b, err := os.ReadFile(n.LogPath())
	s.must(err)
	return strings.Count(string(b[s.logs[n]:]), words)
}

func TestReloadThatIsRefusedChangesNothing(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.begin()
		link := regexp.MustCompile(`interface: \w+`)
		for _, c := range []struct{ from, to, want string }{
			{"", "", "vip.interface: lo is seen by no client"},
			{"protocol: http,", "protocol: htp,", "protocol: \"htp\""},
			{"listeners:\n", fmt.Sprintf("listeners:\n  - {name: new, bind: %q, protocol: http, pool: web}\n  - {name: bad, bind: %q, protocol: tcp, pool: web}\n", "127.0.0.1:8099", netip.AddrPortFrom(s.leader.Addr(), 7946)), "listeners[bad].bind: "},
		} {
			s.write(s.leader, func(config string) string {
				config = strings.Replace(config, "balance: round-robin", "balance: least-conn", 1)
				if c.from == "" {
					return link.ReplaceAllString(config, "interface: lo")
				}
				return strings.Replace(config, c.from, c.to, 1)
			})
			s.order(s.leader, "reload").is(t, 1, "", c.want)
			if st := s.status(s.leader); len(st.Listeners) != 2 || st.Pools[0].Balance != "round-robin" {
				t.Errorf("after %q: listeners %+v, pool %+v", c.want, st.Listeners, st.Pools)
			}
		}
		s.write(s.leader, func(config string) string {
			return strings.Replace(strings.Replace(config, "balance: round-robin", "balance: least-conn", 1), "  - {name: tcp1", "  - {name: other", 1)
		})
		s.order(s.leader, "reload").is(t, 0, "+ listener other\n- listener tcp1\n~ pool web: balance round-robin -> least-conn\nreloaded in ", "")
		s.order(s.leader, "reload").is(t, 0, "nothing is new in the file\n", "")
		if st := s.status(s.leader); st.Pools[0].Balance != "least-conn" || st.Pools[0].Backends[0].State != "up" {
			t.Errorf("after the reload: %+v", st.Pools)
		}
		s.until("the standby knows that the files differ", func() bool { return s.status(s.standby).Peers[0].ConfigDiffers })
		r, v := s.seen()
		s.stayed(r, v, 0)
	})
}

func TestReloadOfPrioritiesMovesTheVIPOnlyWithPreempt(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		prefer := func(extra string) {
			s.write(s.standby, func(config string) string {
				return regexp.MustCompile(`priority: \d+`).ReplaceAllString(config, "priority: 200"+extra)
			})
			s.order(s.standby, "reload").is(t, 0, "~ cluster.pr", "")
		}
		s.begin()
		prefer("")
		s.until("the leader knows", func() bool { return s.status(s.leader).Peers[0].Priority == 200 })
		r, v := s.seen()
		s.stayed(r, v, 0)
		s.begin()
		prefer("\n  preempt: true\n  preempt_delay: 100ms")
		s.takenOver(s.standby)
	})
}
