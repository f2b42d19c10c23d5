package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Proc is a process started by Host.Start.
type Proc struct {
	Name string
	Log  string // path of its output
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait said; readable when done is closed
}

func (p *Proc) reap() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// Pid is the process's id.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to this process only; a process that has ended is no error.
func (p *Proc) Signal(s unix.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
		return p.cmd.Process.Signal(s)
	}
}

// Done is closed when the process has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Wait waits for the process to end and returns its exit status: nil for 0, else an *exec.ExitError, or the context's error.
func (p *Proc) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.Name, ctx.Err())
	}
}

// Pids lists every process in the host, started by us or by another process there; not the ones that have ended.
func (h *Host) Pids() []int {
	var want unix.Stat_t
	if unix.Fstat(h.ns, &want) != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self := os.Getpid()
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		var got unix.Stat_t
		if unix.Stat("/proc/"+e.Name()+"/ns/net", &got) == nil && got.Ino == want.Ino && got.Dev == want.Dev {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Freeze stops every process in the host, as SIGSTOP does: nothing of it runs until Thaw.
func (h *Host) Freeze() { h.freeze() }

// freeze stops all and returns whom it stopped: it looks again until nobody new has appeared, because a process may fork while we look, and
// until all stand still, because the signal takes its time. Those of a paused host stand still already, and take the signal when they resume.
func (h *Host) freeze() []int {
	var stopped []int
	for {
		fresh := false
		for _, pid := range h.Pids() {
			if !slices.Contains(stopped, pid) {
				fresh, stopped = true, append(stopped, pid)
				_ = unix.Kill(pid, unix.SIGSTOP)
			}
		}
		if !fresh && (len(h.paused()) > 0 || !slices.ContainsFunc(stopped, running)) {
			return stopped
		}
	}
}

// Thaw lets every process in the host run again.
func (h *Host) Thaw() {
	for _, pid := range h.Pids() {
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// Kill is "kill -9 of everything": every process in the host stands still first, so that none sees another die, and is then killed. It
// returns when all of them are gone. Whom to kill is looked up before, which takes longer than dying. A paused host resumes for it, since the
// frozen do not die, and runs nothing of its own meanwhile.
func (h *Host) Kill() {
	for pids := h.Pids(); len(pids) > 0; pids = h.Pids() { // again: a process may have forked while we looked
		pids = childrenFirst(pids)
		signal(pids, unix.SIGSTOP)
		for _, g := range h.paused() {
			_ = h.resume(g) // who heals the fault is told
		}
		for slices.ContainsFunc(pids, running) {
			time.Sleep(100 * time.Microsecond) // the signal takes its time
		}
		signal(pids, unix.SIGKILL)
		for _, p := range h.started() {
			if slices.Contains(pids, p.Pid()) {
				<-p.done // so that its exit status is there as well
			}
		}
		for slices.ContainsFunc(pids, func(pid int) bool { return !dead(pid) }) {
			time.Sleep(time.Millisecond)
		}
	}
}

func signal(pids []int, s unix.Signal) {
	for _, pid := range pids {
		_ = unix.Kill(pid, s)
	}
}

// started lists the processes that Start began and that have not ended.
func (h *Host) started() []*Proc {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs = slices.DeleteFunc(h.procs, func(p *Proc) bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	return slices.Clone(h.procs)
}

// childrenFirst sorts processes so that no parent comes before its child. The order matters: when a parent dies first, the kernel finds its
// process group orphaned with stopped members and sends them SIGHUP and SIGCONT, and what was to die silently says goodbye.
func childrenFirst(pids []int) []int {
	parents := map[int]int{}
	for _, pid := range pids {
		parents[pid] = parent(pid)
	}
	depth := func(pid int) (n int) {
		for n < len(pids) && parents[pid] != 0 { // bounded: ids may be reused between two looks
			pid = parents[pid]
			n++
		}
		return n
	}
	slices.SortStableFunc(pids, func(a, b int) int { return depth(b) - depth(a) })
	return pids
}

// running says whether a process neither stands still nor has ended.
func running(pid int) bool {
	fields := stat(pid)
	return len(fields) > 0 && !strings.Contains("TtZX", fields[0])
}

// dead says whether a process has ended with all its threads, even if its parent does not know yet. As long as one is left its sockets are
// open, although the process looks like a zombie and its namespace is no longer shown.
func dead(pid int) bool {
	fields := stat(pid)
	if len(fields) == 0 {
		return true
	}
	threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	return err != nil || strings.Contains("ZX", fields[0]) && len(threads) <= 1
}

// parent is the id of a process's parent, or 0.
func parent(pid int) int {
	fields := stat(pid)
	if len(fields) < 2 {
		return 0
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return ppid
}

// stat reads what /proc says of a process after its name in parentheses: state, parent and more.
func stat(pid int) []string { return statOf("/proc/" + strconv.Itoa(pid) + "/stat") }

func statOf(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}
