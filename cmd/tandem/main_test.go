package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// tandem runs the command as main does.
func tandem(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// good fits every host: loopback only, but for the interface.
const good = `node: a
cluster: {bind: 127.0.0.1:7946, peers: [127.0.0.2], insecure: true}
vip: {interface: no-such-link, addresses: [10.0.0.10]}
listeners: [{name: web, bind: "10.0.0.10:80", protocol: tcp, pool: web}]
pools: [{name: web, backends: [{name: b, address: "127.0.0.1:8080"}]}]
`

func TestCheckSaysOkAndWarns(t *testing.T) {
	file := write(t, good)
	status, stdout, stderr := tandem(t, "check", "--config", file)
	if status != 0 || stdout != file+": ok\n" {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "warning: "+file+":") {
			t.Errorf("not a warning: %q", line)
		}
	}
	if !strings.Contains(stderr, "warning: "+file+":3:18: vip.interface: there is no interface no-such-link") {
		t.Errorf("stderr: %s", stderr)
	}
}

func TestCheckWithHostFailsWhereTheHostDoesNotFit(t *testing.T) {
	file := write(t, good)
	status, stdout, stderr := tandem(t, "check", "--host", "--config", file)
	if status != 1 || stdout != "" {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
	if !strings.Contains(stderr, "\n"+file+":3:18: vip.interface:") || !strings.Contains(stderr, "warning: "+file+":2:") {
		t.Errorf("a fact of the host is no error, or insecure: true is none of the host's:\n%s", stderr)
	}
	status, stdout, _ = tandem(t, "check", "--host", "--config", write(t, strings.Replace(good, "no-such-link", "eth0", 1)))
	if (status == 0) != (stdout != "") {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
}

func TestCheckTellsEveryProblemOfAWrongFile(t *testing.T) {
	file := write(t, strings.NewReplacer("node: a", "node: a b", "protocol: tcp", "protocol: grpc").Replace(good))
	status, stdout, stderr := tandem(t, "check", "--config", file)
	if status != 2 || stdout != "" {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
	for _, want := range []string{file + ":1:7: node: ", file + ":4:57: listeners[web].protocol: grpc comes in a later version"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr:\n%swant: %s", stderr, want)
		}
	}
}

func TestWrongUseAndWrongFilesEndWithTwo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "a command is wanted"},
		{[]string{"chek"}, `there is no command "chek"; did you mean check?`},
		{[]string{"fly"}, `there is no command "fly"`},
		{[]string{"--bogus"}, "unknown flag: --bogus"},
		{[]string{"check", "--bogus"}, "unknown flag: --bogus"},
		{[]string{"check", "file.yaml"}, `"file.yaml" is one argument too many`},
		{[]string{"version", "now"}, `"now" is one argument too many`},
		{[]string{"status", "now"}, `"now" is one argument too many`},
		{[]string{"run", "now"}, `"now" is one argument too many`},
		{[]string{"keygen", "--out="}, "--out is empty"},
		{[]string{"check", "--config", missing}, "no such file or directory; write it (configs/examples/minimal-lb1.yaml is the smallest), or name another file with --config"},
		{[]string{"run", "--config", missing}, "no such file or directory; write it (configs/examples/minimal-lb1.yaml is the smallest), or name another file with --config"},
		{[]string{"release", "--config", missing}, "no such file or directory; write it (configs/examples/minimal-lb1.yaml is the smallest), or name another file with --config"},
		{[]string{"run", "--config", write(t, "node: [")}, "not YAML"},
	} {
		status, stdout, stderr := tandem(t, tt.args...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("tandem %s: status %d, stdout %q, stderr %q, want 2 and %q", strings.Join(tt.args, " "), status, stdout, stderr, tt.want)
		}
	}
}

func TestCommandsOfLaterVersionsAreRefusedByName(t *testing.T) {
	for _, name := range []string{"events", "drill", "key"} {
		for _, args := range [][]string{{name}, {name, "--help"}, {name, "on", "--to", "lb2"}, {"--config", "x", name}} {
			status, stdout, stderr := tandem(t, args...)
			if status != 2 || stdout != "" || !strings.HasPrefix(stderr, "tandem: "+name+" comes in a later version; today: ") {
				t.Errorf("tandem %s: status %d, stdout %q, stderr %q", strings.Join(args, " "), status, stdout, stderr)
			}
		}
	}
}

func TestKeygenMakesAKeyOnce(t *testing.T) {
	line := regexp.MustCompile(`^[A-Za-z0-9+/]{43}=\n$`)
	_, one, _ := tandem(t, "keygen")
	_, two, _ := tandem(t, "keygen")
	if !line.MatchString(one) || one == two {
		t.Errorf("keys %q and %q", one, two)
	}
	file := filepath.Join(t.TempDir(), "cluster.key")
	if status, stdout, stderr := tandem(t, "keygen", "--out", file); status != 0 || stdout != "" || stderr != "" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	before, err := os.ReadFile(file)
	if err != nil || !line.Match(before) {
		t.Errorf("the file holds %q (%v)", before, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != 0o600 {
		t.Errorf("the file has the mode %v (%v)", st.Mode(), err)
	}
	if status, _, stderr := tandem(t, "keygen", "--out", file); status != 1 || !strings.Contains(stderr, "is not overwritten") {
		t.Errorf("again: status %d, stderr %q", status, stderr)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the key was overwritten")
	}
}

func TestKeyInAMissingDirectorySaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none", "cluster.key")
	status, _, stderr := tandem(t, "keygen", "--out", file)
	if status != 1 || !strings.Contains(stderr, "no such file or directory; make the directory first") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

func TestMissingKeyIsToldOnce(t *testing.T) {
	key := filepath.Join(t.TempDir(), "none.key")
	status, _, stderr := tandem(t, "run", "--config", write(t, strings.Replace(good, "insecure: true", "key_file: "+key, 1)))
	if n := strings.Count(stderr, "key file "+key+" does not exist"); status != 1 || n != 1 {
		t.Errorf("status %d, told %d times, want 1 and once:\n%s", status, n, stderr)
	}
}

func TestVersionIsAFlagToo(t *testing.T) {
	_, want, _ := tandem(t, "version")
	if status, stdout, stderr := tandem(t, "--version"); status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, stdout %q, want %q, stderr %q", status, stdout, want, stderr)
	}
}

func TestVersionNamesTheBinary(t *testing.T) {
	status, stdout, _ := tandem(t, "version")
	if status != 0 || !regexp.MustCompile(`^tandem \S+( \([^)]+\))? go1\S+ linux/\w+\n$`).MatchString(stdout) {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	root := newRoot()
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		status, stdout, stderr := tandem(t, args...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, "Examples:\n  tandem") || !strings.Contains(stdout, "--config") {
			t.Errorf("tandem %s: status %d, stderr %q, stdout:\n%s", strings.Join(args, " "), status, stderr, stdout)
		}
		if c.Short == "" || c.Long == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
	}
}

func TestSocketComesFromFlagEnvironmentDefault(t *testing.T) {
	socket := func(args ...string) string {
		root := newRoot()
		if err := root.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		return root.PersistentFlags().Lookup("socket").Value.String()
	}
	t.Setenv("TANDEM_SOCKET", "")
	if got := socket(); got != "/run/tandem/tandem.sock" {
		t.Errorf("default: %s", got)
	}
	t.Setenv("TANDEM_SOCKET", "/tmp/env.sock")
	if got := socket(); got != "/tmp/env.sock" {
		t.Errorf("environment: %s", got)
	}
	if got := socket("--socket", "/tmp/flag.sock"); got != "/tmp/flag.sock" {
		t.Errorf("flag: %s", got)
	}
}

// broken is a standard output that is gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"keygen"}, {"check", "--config", write(t, good)}} {
		var errs bytes.Buffer
		if status := run(t.Context(), args, broken{}, &errs); status != 1 || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("tandem %s: status %d, stderr %q", args[0], status, errs.String())
		}
	}
}
