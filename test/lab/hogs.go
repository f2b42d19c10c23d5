package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Hogs starts busy loops, so many for each core of this machine, with that niceness: -20, which needs the right to it, is the greediest. They take their time
// from everything on the machine, the nodes, the clients and the backends; only the observer and the clients have a priority above them.
func (l *Lab) Hogs(perCore, nice int) (*Fault, error) {
	n := perCore * runtime.NumCPU()
	var procs []*Proc
	end := func() error {
		var errs []error
		for _, p := range procs {
			errs = append(errs, p.Signal(unix.SIGKILL))
		}
		for _, p := range procs {
			<-p.Done()
		}
		return errors.Join(errs...)
	}
	for range n {
		p, err := l.sw.Start("hog", exec.Command("sh", "-c", "while :; do :; done")) //nolint:noctx // ends with the fault or the lab
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start a busy loop: %w", err), end())
		}
		procs = append(procs, p)
		if err := unix.Setpriority(unix.PRIO_PROCESS, p.Pid(), nice); err != nil {
			return nil, errors.Join(fmt.Errorf("set a busy loop to nice %d: %w", nice, err), end())
		}
	}
	return &Fault{What: fmt.Sprintf("%d busy loops per core at nice %d", perCore, nice), heal: end}, nil
}
