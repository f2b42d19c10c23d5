package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed *.conf *.cfg
var configurations embed.FS

// The cores, by number: one for the proxy, one for load and backends.
const (
	proxyCore = "0"
	loadCore  = "1"
)

// peer is one proxy under measurement, and its ports.
type peer struct {
	name                  string
	pid                   int
	http, https, tcp, udp int
}

// bench is what runs while a row is measured.
type bench struct {
	dir         string
	web, source int // ports of the backends
	children    []*exec.Cmd
	peers       []peer
}

// prepare starts the backends and the proxies.
func prepare(ctx context.Context, profile string, systems []string) (*bench, error) {
	if err := need(ctx, "haproxy", "nginx", "caddy", "wrk", "taskset", "h2load"); err != nil {
		return nil, err
	}
	// A limit that is set is inherited, one that the runtime has raised is not.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-proxy-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir}
	if err := b.start(ctx, profile, systems); err != nil {
		b.clean()
		return nil, err
	}
	return b, nil
}

func (b *bench) start(ctx context.Context, profile string, systems []string) error {
	p, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	b.web, b.source = p[0], p[1]
	// nginx drops its privileges and must still reach the file.
	if err := errors.Join(os.Chmod(b.dir, 0o755), os.Mkdir(filepath.Join(b.dir, "files"), 0o755), certify(b.dir),
		os.WriteFile(filepath.Join(b.dir, "files", "1m"), bytes.Repeat([]byte("0123456789abcde\n"), 1<<16), 0o644)); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	backend, err := b.write("backend.conf", map[string]any{"Dir": b.dir, "Web": b.web, "Kilobyte": strings.Repeat("x", 1024)})
	if err != nil {
		return err
	}
	if _, err := b.child(ctx, loadCore, b.web, "nginx", "-c", backend); err != nil {
		return err
	}
	if _, err := b.child(ctx, loadCore, b.source, self, "-role", "source", "-ports", strconv.Itoa(b.source)); err != nil {
		return err
	}
	for _, name := range systems {
		if err := b.launch(ctx, self, name, profile); err != nil {
			return err
		}
	}
	return nil
}

// launch starts a proxy.
func (b *bench) launch(ctx context.Context, self, name, profile string) error {
	p, err := freePorts(ctx, 4)
	if err != nil {
		return err
	}
	s := peer{name: name, http: p[0], https: p[1], tcp: p[2], udp: p[3]}
	values := map[string]any{"Dir": b.dir, "Web": b.web, "Source": b.source, "HTTP": s.http, "HTTPS": s.https, "TCP": s.tcp, "UDP": s.udp}
	var command []string
	switch name {
	case "tandem":
		command = []string{self, "-role", "tandem", "-files", b.dir, "-profile", profile, "-ports",
			fmt.Sprintf("%d,%d,%d,%d,%d,%d", b.web, b.source, s.http, s.https, s.tcp, s.udp)}
	case "stock":
		command = []string{self, "-role", "stock", "-ports", fmt.Sprintf("%d,%d", s.http, b.web)}
	case "haproxy":
		path, err := b.write("haproxy.cfg", values)
		if err != nil {
			return err
		}
		command = []string{"haproxy", "-db", "-f", path}
	case "nginx":
		path, err := b.write("nginx.conf", values)
		if err != nil {
			return err
		}
		command = []string{"nginx", "-p", "/usr/share/nginx", "-c", path}
	case "caddy":
		path, err := b.write("caddy.conf", values)
		if err != nil {
			return err
		}
		command = []string{"caddy", "run", "--adapter", "caddyfile", "--config", path}
	default:
		return fmt.Errorf("no system is called %q", name)
	}
	if s.pid, err = b.child(ctx, proxyCore, s.http, command[0], command[1:]...); err != nil {
		return err
	}
	b.peers = append(b.peers, s)
	return nil
}

// need sees to it that programs are there.
func need(ctx context.Context, programs ...string) error {
	var missing []string
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends", "libnginx-mod-stream"}, missing...)
	if i := slices.Index(install, "h2load"); i >= 0 {
		install[i] = "nghttp2-client"
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("%s missing: run `sudo apt-get %s`, then again", strings.Join(missing, ", "), strings.Join(install, " "))
	}
	for _, args := range [][]string{{"update", "-qq"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

// write fills in a configuration.
func (b *bench) write(name string, values any) (string, error) {
	t, err := template.ParseFS(configurations, name)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, out.Bytes(), 0o644)
}

// child starts a process on a core and waits until it listens on port.
func (b *bench) child(ctx context.Context, core string, port int, name string, args ...string) (int, error) {
	// taskset executes the program in its own place, so the process id is the program's.
	// clean ends it, in order, not ctx.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "taskset", append([]string{"-c", core, name}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.children = append(b.children, cmd)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr); err == nil {
			c.Close()
			return cmd.Process.Pid, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return 0, fmt.Errorf("%s does not listen on %s", name, addr)
}

// clean ends the children and removes the files.
func (b *bench) clean() {
	for _, c := range b.children {
		_ = c.Process.Signal(syscall.SIGTERM)
	}
	for _, c := range b.children {
		_ = c.Wait()
	}
	_ = os.RemoveAll(b.dir)
}

// freePorts returns n ports on which nobody listens now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
