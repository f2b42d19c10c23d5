//nolint:misspell // systemd spells in American
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tool returns the path of a program of systemd's. In CI its absence is a failure.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TANDEM_NEED_ROOT") == "1" {
			t.Fatalf("%s is missing and TANDEM_NEED_ROOT=1 forbids skipping: install systemd", name)
		}
		t.Skipf("%s is missing: install systemd to test the unit file", name)
	}
	return path
}

func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// installed returns a copy of the unit file in which the daemon's binary exists.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "tandem")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(read(t, "tandem.service"), "/usr/bin/tandem", bin)
	path := filepath.Join(dir, "tandem.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settings returns the unit file's settings; those that are set twice are joined with a line's end.
func settings(t *testing.T) map[string]string {
	t.Helper()
	m := map[string]string{}
	for l := range strings.Lines(read(t, "tandem.service")) {
		l = strings.TrimSpace(l)
		if k, v, ok := strings.Cut(l, "="); ok && !strings.HasPrefix(l, "#") {
			if old, again := m[k]; again {
				v = old + "\n" + v
			}
			m[k] = v
		}
	}
	return m
}

func TestTheUnitFileIsValid(t *testing.T) {
	out, err := run(t, tool(t, "systemd-analyze"), "verify", "--man=no", installed(t))
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// exposure is what `systemd-analyze security` may find, in tenths. Most of the rest is the network, which is the job:
// see adr/0002.
const exposure = "22"

func TestTheUnitIsHardened(t *testing.T) {
	out, err := run(t, tool(t, "systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold="+exposure, installed(t))
	if err != nil {
		t.Errorf("systemd-analyze security --threshold=%s: %v\n%s", exposure, err, out)
	}
}

func TestTheUserFileMakesTheUnitsUser(t *testing.T) {
	if os.Getuid() != 0 && os.Getenv("TANDEM_NEED_ROOT") != "1" {
		t.Skip("systemd-sysusers gives its files to root, and so needs root")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "usr/lib/sysusers.d")
	for _, d := range []string{dir, filepath.Join(root, "etc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "tandem.conf"), []byte(read(t, "tandem.sysusers")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, tool(t, "systemd-sysusers"), "--root="+root); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	s := settings(t)
	for file, name := range map[string]string{"etc/passwd": s["User"], "etc/group": s["Group"]} {
		if got := read(t, filepath.Join(root, file)); !strings.Contains(got, name+":") {
			t.Errorf("%s has no %q: %s", file, name, got)
		}
	}
}

func TestTheUnitHasNoMorePowersThanItNeeds(t *testing.T) {
	s := settings(t)
	const caps = "CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE"
	for k, want := range map[string]string{
		"AmbientCapabilities": caps, "CapabilityBoundingSet": caps, "NoNewPrivileges": "yes",
		"Type": "notify", "NotifyAccess": "main", "Restart": "always", "RestrictRealtime": "no", "LimitRTPRIO": "1", "Nice": "-20",
		"Slice": "-.slice", "CPUWeight": "10000", "StartupCPUWeight": "10000",
		"RuntimeDirectoryPreserve": "restart",
	} {
		if s[k] != want {
			t.Errorf("%s=%s, want %s", k, s[k], want)
		}
	}
	if p := s["ExecStopPost"]; !strings.Contains(p, "tandem release") || strings.HasPrefix(p, "+") {
		t.Errorf("ExecStopPost=%s, want tandem release without further powers", p)
	}
}

// called is what strace saw `tandem run` and `tandem release` call, with traffic over both kinds of listeners, and what Go
// may call instead on other machines. The order is the alphabet's.
const called = `
	accept4 access arch_prctl bind brk clock_gettime clone clone3 close connect epoll_create1 epoll_ctl epoll_pwait eventfd2
	execve exit exit_group fchmod fchmodat fcntl flock fstatfs fsync futex getpeername getpid getrandom getresgid getresuid
	getrlimit getsockname getsockopt gettid ioctl listen lseek madvise mmap mprotect munmap nanosleep newfstatat openat pipe2
	ppoll prctl pread64 prlimit64 read recvfrom recvmmsg recvmsg renameat rseq rt_sigaction rt_sigprocmask rt_sigreturn
	sched_getaffinity sched_setattr sched_setscheduler sched_yield sendmmsg sendmsg sendto set_robust_list set_tid_address
	setsockopt shutdown sigaltstack socket splice tgkill uname unlinkat write`

func TestTheSystemCallFilterLetsTheDaemonWork(t *testing.T) {
	allowed := allowedCalls(t, settings(t)["SystemCallFilter"])
	for call := range strings.FieldsSeq(called) {
		if !slices.Contains(allowed, call) {
			t.Errorf("the filter forbids %s, which the daemon calls", call)
		}
	}
	for _, call := range []string{"bpf", "mount", "ptrace", "init_module", "clock_settime", "chroot", "keyctl", "reboot"} {
		if slices.Contains(allowed, call) {
			t.Errorf("the filter allows %s", call)
		}
	}
}

// allowedCalls works out a filter of lines that allow ("@a b") and lines that take away ("~@a b").
func allowedCalls(t *testing.T, filter string) []string {
	t.Helper()
	analyze := tool(t, "systemd-analyze")
	var expand func(string) []string
	expand = func(name string) []string {
		if !strings.HasPrefix(name, "@") {
			return []string{name}
		}
		out, err := run(t, analyze, "syscall-filter", "--no-pager", name)
		if err != nil {
			t.Fatalf("systemd-analyze syscall-filter %s: %v\n%s", name, err, out)
		}
		var calls []string
		for l := range strings.Lines(out) {
			if l = strings.TrimSpace(l); l != "" && l != name && !strings.HasPrefix(l, "#") {
				calls = append(calls, expand(l)...)
			}
		}
		return calls
	}
	calls := expand("@default") // always part of an allow list
	for l := range strings.Lines(filter) {
		l = strings.TrimSpace(l)
		names, away := strings.CutPrefix(l, "~")
		for _, name := range strings.Fields(names) {
			listed := expand(name)
			if !away {
				calls = append(calls, listed...)
				continue
			}
			calls = slices.DeleteFunc(calls, func(c string) bool { return slices.Contains(listed, c) })
		}
	}
	return calls
}
