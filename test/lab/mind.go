package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Deadlock stops every thread of every process in the host but those of real-time priority: of a node, all that decides, while the thread that beats
// runs on. It fails if a process has no such thread.
func (h *Host) Deadlock() (*Fault, error) {
	ready, heal, healed := make(chan error), make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread() // whoever stops a thread is the thread that lets it go; this one ends with the goroutine
		tids, err := stopMinds(h.Pids())
		ready <- err
		<-heal
		for _, tid := range tids {
			if e := unix.PtraceDetach(tid); e != nil && !errors.Is(e, unix.ESRCH) {
				err = errors.Join(err, e)
			}
		}
		healed <- err
	}()
	f := &Fault{What: "deadlock of " + h.name, heal: func() error {
		close(heal)
		return <-healed
	}}
	if err := <-ready; err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.What, err), f.Heal())
	}
	h.lab.atEnd(func() { _ = f.Heal() })
	return f, nil
}

func stopMinds(pids []int) (stopped []int, err error) {
	for _, pid := range pids {
		tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			return stopped, err
		}
		awake := 0
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return stopped, err
			}
			if attr, err := unix.SchedGetAttr(tid, 0); err == nil && attr.Policy == unix.SCHED_RR {
				awake++
				continue
			}
			if err := unix.PtraceSeize(tid); err != nil {
				return stopped, fmt.Errorf("seize thread %d: %w", tid, err)
			}
			stopped = append(stopped, tid)
			if err := unix.PtraceInterrupt(tid); err != nil {
				return stopped, fmt.Errorf("stop thread %d: %w", tid, err)
			}
			for !traced(pid, tid) {
				time.Sleep(100 * time.Microsecond) // one that is in a system call takes its time
			}
		}
		if awake == 0 {
			return stopped, fmt.Errorf("process %d has no thread of real-time priority", pid)
		}
	}
	return stopped, nil
}

// traced says whether a thread stands still for whoever traces it, or is gone.
func traced(pid, tid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, tid))
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return len(state) == 0 || state[0] == 't' || state[0] == 'Z'
}
