package peer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// reserve is how many descriptors fit above the lowest that RaiseFD asks for.
	reserve = 64
	// highest bounds what the table of descriptors costs the kernel: 8 bytes for each below the highest, here 1 MiB.
	highest = 1 << 17
)

// RaiseFD moves a descriptor to the highest free place, closes fd, and returns the new one, which is close-on-exec. With an error, fd is
// still open.
//
// When a process dies, the kernel finishes the files that were closed last first, and closes them in ascending order: the peer sees the end of a
// stream on the highest descriptor after 3 to 5 ms, where beside 15,000 open connections it took 195 ms on a low one.
func RaiseFD(fd int) (int, error) {
	high, err := dupHigh(fd)
	if err != nil {
		return -1, err
	}
	if err := unix.Close(fd); err != nil {
		return -1, errors.Join(fmt.Errorf("close descriptor %d: %w", fd, err), unix.Close(high))
	}
	return high, nil
}

// dupHigh copies fd to a high place; the flags of the file, non-blocking among them, are shared by both.
func dupHigh(fd int) (int, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return -1, fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	low := int(min(lim.Cur, highest)) - reserve
	for ; low > 0; low /= 2 {
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, low)
		if err == nil {
			return high, nil
		}
		// EMFILE: all above are taken; EINVAL: above what is allowed here.
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.EINVAL) {
			return -1, fmt.Errorf("copy descriptor %d: %w", fd, err)
		}
	}
	return -1, fmt.Errorf("copy descriptor %d: %w", fd, unix.EMFILE)
}
