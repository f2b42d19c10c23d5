package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// second marks a process that was started to have the rights that the first one had not. It must not try again.
const second = "TANDEM_DEMO_SECOND"

// elsewhere runs the demo again where it may build labs: as root of a user namespace, or by sudo.
func elsewhere(ctx context.Context, o options, cause error, stdout, stderr io.Writer) int {
	if os.Getenv(second) != "" {
		return exitImpossible // the first one tells
	}
	if !errors.Is(cause, syscall.EPERM) {
		fmt.Fprintln(stderr, "tandem-demo:", cause)
		return exitImpossible
	}
	code, err := again(ctx, o, nil, &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		GidMappingsEnableSetgroups: false,
		Pdeathsig:                  syscall.SIGTERM,
	}, stdout, stderr)
	if err == nil && code != exitImpossible {
		return code
	}
	sudo, lookErr := exec.LookPath("sudo")
	if lookErr != nil || !terminal(os.Stdin) {
		fmt.Fprintln(stderr, "tandem-demo: this needs to make network namespaces. You are not root, and this machine refuses user namespaces to you.")
		fmt.Fprintln(stderr, "Run it as root: sudo make demo. It touches nothing outside of namespaces of its own.")
		return exitImpossible
	}
	fmt.Fprintln(stderr, "tandem-demo: this machine refuses user namespaces to you; asking for root by sudo. Nothing outside of new network namespaces is touched.")
	code, err = again(ctx, o, []string{sudo, "--preserve-env=" + second + ",NO_COLOR,TERM"}, nil, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "tandem-demo:", err)
		return exitImpossible
	}
	return code
}

// again runs this program once more, and returns its exit status. Ctrl-C reaches both; the second cleans up, the first waits.
func again(ctx context.Context, o options, before []string, attr *syscall.SysProcAttr, stdout, stderr io.Writer) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	args := append(before, self, "-tandem", o.binary)
	if o.keep {
		args = append(args, "-keep")
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // ends on its own when interrupted, and is waited for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Env = append(os.Environ(), second+"=1")
	cmd.SysProcAttr = attr
	runtime.LockOSThread() // Pdeathsig watches the thread that started the process
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", args[0], err)
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		pass(ctx, cmd.Process, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-passed
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if ctx.Err() != nil {
		return exitInterrupted, nil //nolint:nilerr // it was told to end, and did
	}
	return exitSurvived, err
}

// pass hands a request to end on to the second process; one from the terminal has reached it already, and a second one does no harm.
func pass(ctx context.Context, p *os.Process, ended <-chan struct{}) {
	select {
	case <-ctx.Done():
		_ = p.Signal(syscall.SIGTERM)
	case <-ended:
	}
}

// terminal says whether f is one.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull && isatty(f.Fd())
}
