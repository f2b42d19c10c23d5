package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

func TestOneDaemonForOneRunDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run", "tandem")
		first, err := Acquire(dir, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Acquire(dir, netip.AddrPort{})
		if !errors.Is(err, ErrRuns) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("process %d, with the same run_dir %s", os.Getpid(), dir)) {
			t.Errorf("the second one got %v", err)
		}
		first.Release()
		again, err := Acquire(dir, netip.AddrPort{})
		if err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
		again.Release()
	})
}

func TestRunDirThatCannotBeLockedIsNoRunningDaemon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Acquire(file, netip.AddrPort{})
	if err == nil || errors.Is(err, ErrRuns) {
		t.Errorf("Acquire = %v", err)
	}
	l.Release()
}

func TestDaemonWhoseRunDirWasRemovedIsFoundByItsPort(t *testing.T) {
	running, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	beats := netip.MustParseAddrPort(running.LocalAddr().String())
	bind := netip.AddrPortFrom(beats.Addr(), beats.Port()-1)
	dir := t.TempDir()
	if _, err := Acquire(dir, bind); !errors.Is(err, ErrRuns) {
		t.Errorf("beside it Acquire = %v", err)
	}
	_ = running.Close()
	l, err := Acquire(dir, bind)
	if err != nil {
		t.Errorf("after its end Acquire = %v", err)
	}
	l.Release()
}
