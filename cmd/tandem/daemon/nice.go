package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// first is the niceness of those who come first among normal threads.
const first = -20

// comeFirst gives every thread of this process, and by inheritance every later one, the best niceness. The thread that beats has real-time priority, but it
// can be kept waiting by all the others: for a lock, or for the garbage collector, which stops the world only when each of them has stopped.
func comeFirst() error {
	for seen := map[int]bool{}; ; {
		fresh := false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil || seen[id] {
				continue
			}
			seen[id], fresh = true, true
			if err := raise(id); err != nil {
				return err
			}
		}
		if !fresh { // no thread has been started meanwhile by one that was not raised yet
			return nil
		}
	}
}

func raise(thread int) error {
	// The system call counts from 40 (-20) to 1 (19), so that no answer looks like an error.
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil && 20-now <= first {
		return nil // by the unit; not everybody may ask for it again
	}
	err := unix.Setpriority(unix.PRIO_PROCESS, thread, first)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("setpriority(%d): %w", first, err)
	}
	return nil
}
