package pulse

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// setRealTime gives the calling thread the lowest real-time priority. Beside eight busy loops per core, a thread without it was woken 740 ms late in
// the median, one with it at most 10 ms. Threads that it might start get the normal priority.
func setRealTime() error {
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("sched_setattr(SCHED_RR, 1): %w", err)
	}
	return nil
}
