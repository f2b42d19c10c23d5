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
func (l *Lab) Hogs(perCore, nice int) (*Fault, error) { return l.hogs(perCore, nice, nil) }

// Hogs is Lab.Hogs; with PairConfig.Weight the busy loops are in a group of the usual weight.
func (p *Pair) Hogs(perCore, nice int) (*Fault, error) {
	if p.Config.Weight == 0 {
		return p.Lab.Hogs(perCore, nice)
	}
	g, err := p.weighted(UsualWeight)
	if err != nil {
		return nil, err
	}
	return p.hogs(perCore, nice, &g)
}

func (l *Lab) hogs(perCore, nice int, share *group) (*Fault, error) {
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
		if share == nil {
			continue
		}
		if err := share.take([]int{p.Pid()}); err != nil {
			return nil, errors.Join(fmt.Errorf("put a busy loop into its group: %w", err), end())
		}
	}
	return &Fault{What: fmt.Sprintf("%d busy loops per core at nice %d", perCore, nice), heal: end}, nil
}
