package lab

import (
	"os"
)

// TB is the part of testing.TB that ForTest needs.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Name() string
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// ForTest builds a lab that ends with the test. Where labs are impossible the test is skipped, or fails if TANDEM_NEED_ROOT=1. The logs of
// a test that failed are kept, and the test says where.
func ForTest(t TB) *Lab {
	t.Helper()
	if err := Supported(); err != nil {
		if os.Getenv("TANDEM_NEED_ROOT") == "1" {
			t.Fatalf("%v", err)
		}
		t.Skipf("%v", err)
	}
	dir, err := os.MkdirTemp("", "lab") // short: sockets with long paths are refused
	if err != nil {
		t.Fatalf("make a directory for logs: %v", err)
	}
	l, err := New(dir)
	if err != nil {
		t.Fatalf("build a lab: %v", err)
	}
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			t.Logf("logs of %s are in %s", t.Name(), dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	return l
}
