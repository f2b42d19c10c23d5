package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mode    = 0o660 // the daemon's user and group may ask
	dirMode = 0o750
	maxPath = 107 // sun_path less its final zero (unix(7))
)

// socket is a Unix socket that this process serves, and the lock that says so.
type socket struct {
	path     string
	listener *net.UnixListener
	lock     *os.File
}

// claim opens a socket at path. Beside it lies a lock file that stays: of two daemons that start at once only one may
// judge what is stale, and a lock that is removed can be held twice.
func claim(ctx context.Context, path string) (*socket, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("socket %s: the path has %d bytes, at most %d are allowed", path, len(path), maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the socket: %w", err)
	}
	s := &socket{path: path, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, live(ctx, path)
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	if err := s.open(ctx); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// open replaces what is stale at the path. The lock is held.
func (s *socket) open(ctx context.Context) error {
	switch info, err := os.Lstat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("look at the socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket (%v): remove it, or name another path in admin.socket", s.path, info.Mode().Type())
	default:
		if served(ctx, s.path) {
			return live(ctx, s.path)
		}
		if err := os.Remove(s.path); err != nil {
			return fmt.Errorf("remove the stale socket: %w", err)
		}
	}
	// The mode is set before the socket can be found; the process's umask may have taken bits away, hence once more.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), mode) }); e != nil {
			return e
		}
		return err
	}}
	l, err := lc.Listen(ctx, "unix", s.path)
	if err != nil {
		return fmt.Errorf("open the socket: %w", err)
	}
	s.listener = l.(*net.UnixListener) //nolint:errcheck // that is what "unix" gives
	if err := os.Chmod(s.path, mode); err != nil {
		return errors.Join(fmt.Errorf("open the socket: %w", err), l.Close())
	}
	return nil
}

// release removes the socket. The listener may have been closed, which removes it already.
func (s *socket) release() {
	_ = s.listener.Close()
	_ = s.lock.Close()
}

// dialTime bounds the look at a socket that is there: connecting to a Unix socket takes no time unless its queue is full.
const dialTime = 500 * time.Millisecond

func connect(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	return d.DialContext(ctx, "unix", path)
}

// served reports whether a process listens at path.
func served(ctx context.Context, path string) bool {
	c, err := connect(ctx, path)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist)
	}
	c.Close()
	return true
}

// live says who serves the socket at path.
func live(ctx context.Context, path string) error {
	who := "another process"
	if pid := peerOf(ctx, path); pid > 0 {
		who = fmt.Sprintf("process %d", pid)
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && len(name) > 1 {
			who += fmt.Sprintf(" (%s)", name[:len(name)-1])
		}
	}
	return fmt.Errorf("%s already serves %s: stop it, or give this node its own run_dir and admin.socket", who, path)
}

// peerOf returns the process that listens at path, as the kernel knows it; 0 if that cannot be told.
func peerOf(ctx context.Context, path string) int32 {
	c, err := connect(ctx, path)
	if err != nil {
		return 0
	}
	defer c.Close()
	cred := credentials(c.(*net.UnixConn)) //nolint:errcheck // that is what "unix" gives
	if cred == nil {
		return 0
	}
	return cred.Pid
}
