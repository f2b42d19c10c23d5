package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

func TestOneDaemonForOneRunDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run", "tandem")
		first, err := Acquire(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Acquire(dir)
		if !errors.Is(err, ErrRuns) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("process %d, with the same run_dir %s", os.Getpid(), dir)) {
			t.Errorf("the second one got %v", err)
		}
		first.Release()
		again, err := Acquire(dir)
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
	l, err := Acquire(file)
	if err == nil || errors.Is(err, ErrRuns) {
		t.Errorf("Acquire = %v", err)
	}
	l.Release()
}
