package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tandem-lb/tandem/test/lab"
)

// binaryEnv names the binary under test.
const binaryEnv = "TANDEM_BINARY"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == lab.NoNftables {
		fmt.Fprintln(os.Stderr, lab.ExecWithoutNftables(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(binaryEnv) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tandem")
	if out, err := exec.Command("go", "build", "-race", "-o", path, "github.com/tandem-lb/tandem/cmd/tandem").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary under test: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binaryEnv, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binary is the tandem under test.
func binary() string { return os.Getenv(binaryEnv) }
