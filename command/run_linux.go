package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func attributes(who *owner) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if who != nil {
		a.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid}
	}
	return a
}

// drain is how long output is still read after the end. All that the dead wrote is in the pipe already; whoever escaped the kill may hold it for ever.
const drain = 100 * time.Millisecond

// run starts cmd on a thread of its own, copies its output to out, and returns when cmd has ended, or ctx has and all of it is dead.
func run(ctx context.Context, cmd *exec.Cmd, out io.Writer) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(out, r) // ends when the last process that holds the pipe has, or r is closed
	}()
	ended := make(chan error, 1)
	go supervise(ctx, cmd, w, ended)
	err = <-ended
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now().Add(drain))
	<-copied
	return err
}

// supervise owns the command from start to end. Its thread gives up its privileges before it forks, and is thrown away afterwards;
// it lives as long as the command, which the kernel kills with it (Pdeathsig).
func supervise(ctx context.Context, cmd *exec.Cmd, w *os.File, ended chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if unix.Gettid() == unix.Getpid() {
		// The process's first thread cannot end: while it is held here another one does the work.
		next := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(next)
			supervise(ctx, cmd, w, ended)
		}()
		<-next
		runtime.UnlockOSThread()
		return
	}
	ended <- func() error {
		if err := forsake(); err != nil {
			return fmt.Errorf("give up privileges: %w", err)
		}
		unhurried()
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("cannot be started: %w", err)
		}
		_ = w.Close()
		pid := cmd.Process.Pid
		forgiving(pid)
		killed := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(killed)
			killAll(pid)
		})
		awaitEnd(pid)
		if !stop() {
			<-killed
		}
		killAll(pid)      // what it left in the background
		return cmd.Wait() // only now its process id can be used again
	}()
}

// awaitEnd waits until a child has ended and leaves it to be reaped.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// unhurried takes this process's precedence over others from this thread, which its children inherit.
func unhurried() {
	const zero = 20 // the system call counts from 40 (-20) to 1 (19)
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && now > zero {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	}
}

// forgiving lets the kernel choose the command before this process when memory is short; the command inherits this process's wish to be spared.
func forgiving(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0) // at worst it is spared, too
}

// forsake takes from this thread, and so from what it forks, all ways to privileges but those that the change of user needs: these
// are lost with it, or by the exec. Where the process may not do one of the steps (a service with filtered system calls), no_new_privs makes it superfluous.
func forsake() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // needs CAP_SETPCAP
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	_ = unix.Capset(&head, &data[0])
	return nil
}
