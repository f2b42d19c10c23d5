package pulse

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Wait is in Transport. It keeps the thread's place in Go's scheduler, see adr/0003: the runtime's watchman wakes up for each place that is given up, and on a
// busy host the way back can be long. What the runtime wants the place for, a pause for the garbage collector, it asks for with a signal, again and again until it
// has it; a signal ends ppoll, and the rest of the wait is an ordinary one.
func (s *sockets) Wait(until time.Time) error {
	n, e := s.poll(until, unix.RawSyscall6)
	if e == unix.EINTR {
		n, e = s.poll(until, unix.Syscall6)
	}
	if e != 0 && e != unix.EINTR {
		return fmt.Errorf("ppoll: %w", e)
	}
	if n > 0 && s.polled[0].Revents != 0 {
		var b [8]byte // EAGAIN: another wake-up was taken with this one
		_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(s.polled[0].Fd), uintptr(unsafe.Pointer(&b)), uintptr(len(b)))
	}
	return nil
}

// syscall6 is a way to make a system call: one that keeps the place in Go's scheduler, or one that offers it to others.
type syscall6 func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, e unix.Errno)

func (s *sockets) poll(until time.Time, call syscall6) (int, unix.Errno) {
	s.left = unix.NsecToTimespec(int64(max(time.Until(until), 0)))
	n, _, e := call(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.polled[0])), uintptr(len(s.polled)), uintptr(unsafe.Pointer(&s.left)), 0, 0, 0)
	return int(n), e
}
