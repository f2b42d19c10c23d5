package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed haproxy.cfg
var haproxyConfig string

//go:embed nginx.conf
var nginxConfig string

// The cores, by number: one for the proxy, one for load and backends.
const (
	proxyCore = "0"
	loadCore  = "1"
)

// peer is one proxy under measurement.
type peer struct {
	name      string
	pid       int
	http, tcp int // ports
}

// bench is what runs during the whole measurement.
type bench struct {
	dir      string
	children []*exec.Cmd
	peers    []peer
}

// prepare starts the backends and the proxies.
func prepare(ctx context.Context, profile string, stock bool) (*bench, error) {
	if err := need(ctx, "haproxy", "nginx", "wrk", "taskset"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-proxy-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir}
	if err := b.start(ctx, profile, stock); err != nil {
		b.clean()
		return nil, err
	}
	return b, nil
}

func (b *bench) start(ctx context.Context, profile string, stock bool) error {
	p, err := freePorts(ctx, 7)
	if err != nil {
		return err
	}
	web, source := p[0], p[1]
	// nginx drops its privileges and must still reach the file.
	if err := errors.Join(os.Chmod(b.dir, 0o755), os.Mkdir(filepath.Join(b.dir, "files"), 0o755),
		os.WriteFile(filepath.Join(b.dir, "files", "1m"), bytes.Repeat([]byte("0123456789abcde\n"), 1<<16), 0o644)); err != nil {
		return err
	}
	values := map[string]any{
		"Dir": b.dir, "Web": web, "Source": source, "HTTP": p[2], "TCP": p[3], "Kilobyte": strings.Repeat("x", 1024),
	}
	nginx, err := b.write("nginx.conf", nginxConfig, values)
	if err != nil {
		return err
	}
	haproxy, err := b.write("haproxy.cfg", haproxyConfig, values)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := b.child(ctx, loadCore, web, "nginx", "-c", nginx); err != nil {
		return err
	}
	if _, err := b.child(ctx, loadCore, source, self, "-role", "source", "-ports", strconv.Itoa(source)); err != nil {
		return err
	}
	ours := fmt.Sprintf("%d,%d,%d,%d", p[4], web, p[5], source)
	args := []string{"-role", "tandem", "-ports", ours}
	if profile != "" {
		args = append(args, "-profile", profile)
	}
	tandem, err := b.child(ctx, proxyCore, p[4], self, args...)
	if err != nil {
		return err
	}
	other, err := b.child(ctx, proxyCore, p[2], "haproxy", "-db", "-f", haproxy)
	if err != nil {
		return err
	}
	b.peers = []peer{{"tandem", tandem, p[4], p[5]}, {"haproxy", other, p[2], p[3]}}
	if stock {
		pid, err := b.child(ctx, proxyCore, p[6], self, "-role", "stock", "-ports", fmt.Sprintf("%d,%d", p[6], web))
		if err != nil {
			return err
		}
		b.peers = append(b.peers, peer{"net/http", pid, p[6], 0})
	}
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
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
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

// write fills in a template.
func (b *bench) write(name, text string, values any) (string, error) {
	t, err := template.New(name).Parse(text)
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
