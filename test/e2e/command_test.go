package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/test/lab"
)

// answer is what a command printed and how it ended.
type answer struct {
	stdout, stderr string
	status         int
}

// failer is a test or a try.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// tandem runs a command of the binary under test.
func tandem(t *testing.T, args ...string) answer {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary(), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	return ended(t, cmd.Run(), &out, &errs)
}

// in runs a command of the binary under test inside a host.
func (s *scene) in(h *lab.Host, args ...string) answer {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), binary(), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	p, err := h.Start("command", cmd)
	s.must(err)
	return ended(s.t, p.Wait(s.soon()), &out, &errs)
}

func ended(t failer, err error, out, errs *bytes.Buffer) answer {
	t.Helper()
	a := answer{stdout: out.String(), stderr: errs.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		a.status = exit.ExitCode()
	case err != nil:
		t.Fatalf("%v", err)
	}
	return a
}

// is asserts how a command ended and what both outputs contain; an empty text wants nothing to be printed there.
func (a answer) is(t failer, status int, stdout, stderr string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.stdout, stdout) || !strings.Contains(a.stderr, stderr) ||
		stdout == "" && a.stdout != "" || stderr == "" && a.stderr != "" {
		t.Errorf("got status %d, stdout %q, stderr %q; want %d, %q, %q", a.status, a.stdout, a.stderr, status, stdout, stderr)
	}
}

func TestStatusTellsWhoLeads(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		for _, n := range s.Nodes {
			a := s.in(n.Host, "status", "--socket", n.Socket())
			first, _, _ := strings.Cut(a.stdout, "\n")
			if a.status != 0 || !strings.Contains(first, s.leader.Name()) || !strings.Contains(a.stdout, s.Other(n).Name()) || !strings.Contains(a.stdout, "web2") {
				t.Errorf("status of %s: %+v; want the leader, the peer and the backends", n.Name(), a)
			}
			a = s.in(n.Host, "status", "--json", "--socket", n.Socket())
			var st api.Status
			if err := json.Unmarshal([]byte(a.stdout), &st); err != nil || a.status != 0 || a.stderr != "" {
				t.Fatalf("status --json of %s: %v: %+v", n.Name(), err, a)
			}
			want := api.Standby
			if n == s.leader {
				want = api.Leader
			}
			if st.Node != n.Name() || st.State != want || st.Leader != s.leader.Name() || st.Gate != "nftables" || len(st.VIPs) != 1 || st.VIPs[0].Held != (n == s.leader) {
				t.Errorf("status --json of %s says %+v", n.Name(), st)
			}
		}
		s.in(s.Client, "status", "--socket", s.Path("none")).is(t, 1, "", "tandem is not running")
	})
}

func TestStatusTellsTheLastFailover(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.leader.Index)
		s.takenOver(s.standby)
		st := s.status(s.standby)
		if st.State != api.Leader || len(st.Failovers) == 0 || st.Failovers[0].From != s.leader.Name() || st.Failovers[0].To != s.standby.Name() || st.Failovers[0].Kind != api.Takeover {
			t.Errorf("status says %+v", st)
		}
		if st.Peers[0].State != api.PeerCrashed {
			t.Errorf("status says of the killed peer: %+v", st.Peers[0])
		}
	})
}

func TestReleaseSweepsWhatAKilledLeaderLeft(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{})
		s.KillNode(s.standby.Index)
		s.KillNode(s.leader.Index)
		if !s.has(s.leader.Host) {
			t.Error("the killed leader's address was gone at once: there was nothing to sweep")
		}
		for _, n := range []*lab.Node{s.leader, s.leader, s.standby} { // again is no error
			if a := s.in(n.Host, "release", "--config", n.ConfigPath()); a.status != 0 || a.stdout != "released\n" {
				t.Errorf("release on %s: %+v", n.Name(), a)
			}
			s.bare(n.Host)
		}
		s.pass(100 * time.Millisecond)
		if who := s.Watch.Now(); len(who) > 0 {
			t.Errorf("%v still answers", who)
		}
	})
}

func TestCheckJudgesTheFile(t *testing.T) {
	story(t, func(t *try) {
		s := build(t, lab.PairConfig{})
		n := s.Nodes[0]
		s.must(n.WriteConfig())
		if a := s.in(n.Host, "check", "--config", n.ConfigPath()); a.status != 0 || a.stdout != n.ConfigPath()+": ok\n" {
			t.Errorf("check: %+v", a)
		}
		wrong := s.Path("wrong.yaml")
		s.must(os.WriteFile(wrong, []byte("node: lb1\ncluster: {prioriti: 1}\nvip: {lease: 2}\n"), 0o600))
		a := s.in(n.Host, "check", "--config", wrong)
		a.is(t, 2, "", wrong+":2:")
		for _, want := range []string{"cluster.prioriti", "vip.lease"} {
			if !strings.Contains(a.stderr, want) {
				t.Errorf("check does not tell of %s: %s", want, a.stderr)
			}
		}
		s.in(n.Host, "check", "--config", s.Path("none")).is(t, 2, "", "no such file")
	})
}

func TestKeygenMakesAKeyOnce(t *testing.T) {
	a := tandem(t, "keygen")
	key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(a.stdout, "\n"))
	if err != nil || len(key) != 32 || a.status != 0 {
		t.Errorf("keygen: %+v: %d bytes, %v", a, len(key), err)
	}
	path := filepath.Join(t.TempDir(), "key")
	tandem(t, "keygen", "--out", path).is(t, 0, "", "")
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	tandem(t, "keygen", "--out", path).is(t, 1, "", path)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the key was overwritten (%v)", err)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if a := tandem(t, "version"); a.status != 0 || !regexp.MustCompile(`^tandem \S+.* go1\.\d+\S* linux/\w+\n$`).MatchString(a.stdout) {
		t.Errorf("version: %+v", a)
	}
}

func TestCommandsOfLaterVersionsAreRefusedByName(t *testing.T) {
	for _, c := range []string{"events", "drill", "key rotate"} {
		args := strings.Fields(c)
		tandem(t, args...).is(t, 2, "", args[0]+" comes in a later version")
	}
	tandem(t, "stat").is(t, 2, "", "there is no command \"stat\"; did you mean status?")
	tandem(t).is(t, 2, "", "a command is wanted")
	tandem(t, "status", "--jason").is(t, 2, "", "unknown flag: --jason")
}
