package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run real programs: what they prove is what the kernel does.

func sh(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

func TestOutputAndStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Command
		out  string
		fail string // part of the error; empty: none
	}{
		{"success", Command{Argv: sh("echo out; echo err >&2")}, "out\nerr\n", ""},
		{"arguments are passed as they are", Command{Argv: sh(`echo "$1|$2"`, "a b", "$(id)")}, "a b|$(id)\n", ""},
		{"failure", Command{Argv: sh("echo no; exit 3")}, "no\n", "exit status 3"},
		{"the environment is a small one", Command{Argv: sh(`env -u PWD -u _ | sort`), Env: []string{"TANDEM_X=1"}},
			"HOME=/\nLC_ALL=C\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTANDEM_X=1\n", ""},
		{"output is bounded", Command{Argv: sh("head -c 1000000 /dev/zero | tr '\\0' x"), MaxOutput: 5}, "xxxxx", ""},
		{"nothing to read", Command{Argv: sh("cat; pwd")}, "/\n", ""},
		{"a missing program", Command{Argv: []string{"/nowhere/to/be found"}}, "", "cannot be started: fork/exec /nowhere/to/be found: no such file"},
		{"no program", Command{}, "", "no program"},
		{"an unknown user", Command{Argv: sh("true"), User: "no-such-user"}, "", "run as no-such-user"},
		{"root", Command{Argv: sh("true"), User: "root"}, "", "commands do not run as root"},
	} {
		out, err := Run(t.Context(), c.c)
		if out != c.out {
			t.Errorf("%s: output %q, want %q", c.name, out, c.out)
		}
		switch {
		case c.fail == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.fail)
		}
	}
}

// pids waits until n process ids are in the file.
func pids(t *testing.T, file string, n int) []int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(file)
		fields := strings.Fields(string(b))
		if len(fields) < n {
			continue
		}
		var list []int
		for _, f := range fields {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatalf("process id %q", f)
			}
			list = append(list, pid)
		}
		return list
	}
	t.Fatalf("%d process ids are not in %s", n, file)
	return nil
}

// open returns the name of a file that everybody may write.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != "/"; d = filepath.Dir(d) { // nobody has to get there
		if st, err := os.Stat(d); err == nil && st.Mode()&0o001 == 0 {
			_ = os.Chmod(d, st.Mode()|0o001)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pids")
}

// gone waits until a process is no more than a zombie that its reaper has not come to yet.
func gone(pid int) bool {
	for range 2000 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if p, ok := parseStat(b); err != nil || ok && p.dead {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

func TestTimeoutKillsTheWholeFamily(t *testing.T) {
	file := open(t)
	// A child, a grandchild, a child that ignores signals, one in a process group and one in a session of its own.
	script := `echo $$ >>"$1"
		sh -c 'echo $$ >>"$0"; sh -c "echo \$\$ >>\"\$0\"; sleep 30; :" "$0"; :' "$1" &
		sh -c 'trap "" TERM INT HUP; echo $$ >>"$0"; sleep 30; :' "$1" &
		setsid sh -c 'echo $$ >>"$0"; sleep 30; :' "$1" &
		wait`
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Run(ctx, Command{Argv: sh(script, file), Timeout: time.Minute})
		done <- err
	}()
	list := pids(t, file, 5)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want the context's error", err)
	}
	for _, pid := range list {
		if !gone(pid) {
			t.Errorf("process %d of %v lives", pid, list)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func TestTimeoutIsTold(t *testing.T) {
	out, err := Run(t.Context(), Command{Argv: sh("echo begun; sleep 30"), Timeout: 200 * time.Millisecond})
	if !errors.Is(err, ErrTimeout) || out != "begun\n" {
		t.Errorf("Run = %q, %v; want what it wrote and ErrTimeout", out, err)
	}
}

func TestWhatIsLeftInTheBackgroundIsKilled(t *testing.T) {
	file := open(t)
	out, err := Run(t.Context(), Command{Argv: sh(`sleep 30 & echo $! >"$1"; echo done`, file), Timeout: time.Minute})
	if out != "done\n" || err != nil {
		t.Errorf("Run = %q, %v", out, err)
	}
	if pid := pids(t, file, 1)[0]; !gone(pid) {
		t.Errorf("process %d lives", pid)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// needRoot skips, or fails where root is promised.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("TANDEM_NEED_ROOT") != "":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}

func TestCommandHasNoPrivileges(t *testing.T) {
	needRoot(t)
	out, err := Run(t.Context(), Command{Argv: []string{"/bin/grep", "-E", "^(Uid|Gid|Groups|Cap...|NoNewPrivs):", "/proc/self/status"}})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.Join(strings.Fields(value), " ")
		switch {
		case strings.HasPrefix(key, "Cap") && strings.Trim(value, "0") != "",
			key == "NoNewPrivs" && value != "1",
			key == "Groups" && value != "",
			key == "Uid" && strings.Contains(" "+value+" ", " 0 "),
			key == "Gid" && strings.Contains(" "+value+" ", " 0 "):
			t.Errorf("%s: %s", key, value)
		}
	}
	if n := strings.Count(out, "\n"); n != 9 {
		t.Errorf("%d lines of status, want 9:\n%s", n, out)
	}
}

func TestThisProcessKeepsItsPrivileges(t *testing.T) {
	before := capabilities(t)
	for range 20 {
		if _, err := Run(t.Context(), Command{Argv: sh("true")}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 { // the threads that ran them end soon
		if changed(t, before) == "" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("thread %s has other capabilities than before (%s)", changed(t, before), before)
}

// changed names a thread of this process whose capabilities are not these.
func changed(t *testing.T, want []byte) string {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && !bytes.Contains(b, want) {
			return f
		}
	}
	return ""
}

func capabilities(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	from, to := bytes.Index(b, []byte("CapInh:")), bytes.Index(b, []byte("Seccomp:"))
	if from < 0 || to < from {
		t.Fatalf("no capabilities in\n%s", b)
	}
	return b[from:to]
}

func TestCommandDoesNotComeFirst(t *testing.T) {
	needRoot(t)
	was, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	nice := func(n int) {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if id, err := strconv.Atoi(task.Name()); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, n) // it may have ended
			}
		}
	}
	nice(-5)
	defer nice(20 - was)
	if out, err := Run(t.Context(), Command{Argv: sh("nice")}); out != "0\n" || err != nil {
		t.Errorf("niceness %q, %v, want 0", out, err)
	}
}

func TestCommandDiesWithThisProcess(t *testing.T) {
	if file := os.Getenv("COMMAND_TEST_FILE"); file != "" { // the process that dies
		_, _ = Run(t.Context(), Command{Argv: sh(`echo $$ >"$1"; exec sleep 30`, file), Timeout: time.Minute})
		return
	}
	file := open(t)
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCommandDiesWithThisProcess$")
	self.Env = append(os.Environ(), "COMMAND_TEST_FILE="+file)
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pids(t, file, 1)[0]
	_ = self.Process.Kill()
	_ = self.Wait()
	if !gone(pid) {
		t.Errorf("process %d lives", pid)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

func TestFamily(t *testing.T) {
	table := []process{
		{pid: 10, parent: 1, group: 10, session: 10, dead: true},
		{pid: 11, parent: 10, group: 10, session: 10},
		{pid: 12, parent: 1, group: 12, session: 10},  // an orphan in the session
		{pid: 14, parent: 13, group: 14, session: 14}, // listed before its parent
		{pid: 13, parent: 11, group: 13, session: 13}, // left the session
		{pid: 15, parent: 1, group: 15, session: 13},  // its orphan
		{pid: 20, parent: 1, group: 20, session: 20},
		{pid: 1, parent: 0, group: 1, session: 1},
	}
	if got, want := fmt.Sprint(family(10, table)), "[11 12 14 13 15]"; got != want {
		t.Errorf("family = %s, want %s", got, want)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1"))
	f.Add([]byte("7 (a"))
	f.Add([]byte(") ("))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseStat(b); ok && !bytes.Contains(b, []byte(strconv.Itoa(p.pid))) && p.pid > 0 && !bytes.HasPrefix(bytes.TrimSpace(b), []byte("0")) && !bytes.HasPrefix(bytes.TrimSpace(b), []byte("+")) {
			t.Errorf("parseStat(%q) = %+v", b, p)
		}
	})
}
