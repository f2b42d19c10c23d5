// Package stand is what the suites beside it have in common: a proxy in this process, other people's programs around it, and a list of
// what was found.
package stand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// Stand is one run of a suite, at the end of which all that it has started is ended, the last first.
type Stand struct {
	// Dir is a directory of its own.
	Dir  string
	ends []func() error
	bad  []string
}

// Main runs a suite, and ends the process with status 1 if it, or anything in it, has failed.
func Main(suite func(*Stand) error) {
	s, err := empty()
	if err == nil {
		err = errors.Join(suite(s), s.close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func empty() (*Stand, error) {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return nil, err
	}
	s := &Stand{Dir: dir}
	s.ends = append(s.ends, func() error { return os.RemoveAll(dir) })
	return s, os.Chmod(dir, 0o755) // for programs that drop their privileges
}

// close ends everything. The error names what has failed in the suite, too.
func (s *Stand) close() error {
	var errs []error
	for i := len(s.ends) - 1; i >= 0; i-- {
		errs = append(errs, s.ends[i]())
	}
	if len(s.bad) > 0 {
		errs = append(errs, fmt.Errorf("%d failed: %s", len(s.bad), strings.Join(s.bad, ", ")))
	}
	return errors.Join(errs...)
}

// Check prints and keeps whether something is as it should be.
func (s *Stand) Check(what string, err error) {
	if err != nil {
		fmt.Printf("FAIL  %s: %v\n", what, err)
		s.bad = append(s.bad, what)
		return
	}
	fmt.Printf("ok    %s\n", what)
}

// Free returns an address of host on which nobody listens.
func Free(host string) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close() //nolint:errcheck // only its address was wanted
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// Proxy starts a proxy and returns when its listeners are open.
func (s *Stand) Proxy(cfg proxy.Config, pools ...pool.Config) (*proxy.Proxy, error) {
	cfg.Drain = time.Second
	p, err := proxy.New(cfg, pool.NewSet(pools), hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Error}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	s.ends = append(s.ends, func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the proxy does not end")
		}
	})
	<-p.Changed()
	return p, nil
}

// Pool is a pool of one backend, which is not probed.
func Pool(name string, at netip.AddrPort) pool.Config {
	return pool.Config{Name: name, Backends: []pool.BackendConfig{{Name: "a", Address: at}}}
}

// Serve has a goroutine serve l until the end.
func (s *Stand) Serve(l net.Listener, serve func(net.Listener) error) {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = serve(l) }()
	s.ends = append(s.ends, func() error { err := l.Close(); <-ended; return err })
}

// File writes a file of the stand and returns its path.
func (s *Stand) File(name, text string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Start starts a program and returns when it listens at addr.
func (s *Stand) Start(addr netip.AddrPort, name string, args ...string) error {
	cmd := exec.Command(program(name), args...) //nolint:noctx // close ends it
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.ends = append(s.ends, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // by our signal
		return nil
	})
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr.String())
		if err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("%s does not listen on %s", name, addr)
}

// Run runs a program to its end and returns what it printed.
func Run(limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(name), args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return string(out), err
}

// program finds a program where Debian puts those of root.
func program(name string) string {
	if _, err := exec.LookPath(name); err != nil {
		return "/usr/sbin/" + name
	}
	return name
}
