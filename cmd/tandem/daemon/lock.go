package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrRuns means that a daemon runs that has the same run_dir.
var ErrRuns = errors.New("a daemon runs already")

// Lock is the right to change what run_dir's record says is in the kernel. The kernel takes it back from a process that ends, however it does.
type Lock struct{ file *os.File }

// lockWait bounds the wait for a daemon that has been killed and is not yet gone.
const lockWait = time.Second

// Acquire takes the lock of dir, which it makes if need be, and waits up to a second for it. The error is ErrRuns if a living daemon has it, or has the port
// for beats, beside bind, which it keeps when dir is removed under it; any other one means that there can be no lock in dir.
func Acquire(dir string, bind netip.AddrPort) (*Lock, error) {
	beats := next(bind)
	l, err := lock(dir)
	if err != nil && errors.Is(err, ErrRuns) {
		return nil, err
	}
	for end := time.Now().Add(lockWait); taken(beats); time.Sleep(lockWait / 50) {
		if time.Now().After(end) {
			l.Release()
			return nil, fmt.Errorf("%w, or another process has its port: UDP %s is taken (see: ss -lnup 'sport = :%d')", ErrRuns, beats, beats.Port())
		}
	}
	return l, err
}

// taken reports whether a process of this host listens for beats.
func taken(beats netip.AddrPort) bool {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// The address need not be there yet.
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_FREEBIND, 1) })
	}}
	conn, err := lc.ListenPacket(context.Background(), "udp", beats.String())
	if err != nil {
		return errors.Is(err, syscall.EADDRINUSE)
	}
	_ = conn.Close()
	return false
}

func lock(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock run_dir: %w", err)
	}
	path := filepath.Join(dir, "tandem.lock") // stays: a lock that is removed can be held twice
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock run_dir: %w", err)
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockWait / 50) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			return nil, errors.Join(refusal(path, err), f.Close())
		}
	}
	// Only for people: who reads it may read the number of a process that has ended.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	return &Lock{f}, nil
}

func refusal(path string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	who := ""
	if b, err := os.ReadFile(path); err == nil && len(b) < 32 {
		who = ", process " + strings.TrimSpace(string(b))
	}
	return fmt.Errorf("%w%s, with the same run_dir %s: stop it, or give this node a configuration of its own", ErrRuns, who, filepath.Dir(path))
}

// Release gives the lock back. It may be called on a nil Lock.
func (l *Lock) Release() {
	if l != nil {
		_ = l.file.Close()
	}
}
