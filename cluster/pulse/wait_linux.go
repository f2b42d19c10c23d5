package pulse

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insists is the time within which the runtime asks again if it must have the place: it does every 100 µs.
const insists = 2 * time.Millisecond

// Wait is in Transport. It keeps the thread's place in Go's scheduler, see adr/0003 and adr/0006: who gives it up is put back by a normal thread, which a busy
// host lets wait. Go's watchman asks for the place every 10 ms, out of fairness, with a signal that ends ppoll; that is ignored. For a pause of the garbage
// collector the runtime asks again at once, and then it gets the place for the rest of the wait.
func (s *sockets) Wait(until time.Time) error {
	n, e := s.poll(until, keeping)
	for asked := (time.Time{}); e == unix.EINTR && time.Since(asked) > insists; {
		asked = time.Now()
		n, e = s.poll(until, keeping)
	}
	if e == unix.EINTR {
		n, e = s.poll(until, unix.Syscall6)
		pin()
		goOn()
		unpin()
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

// keeping makes a system call that keeps the place, and declines all that was asked for meanwhile.
//
//go:uintptrescapes
func keeping(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, e unix.Errno) {
	pin()
	r1, r2, e = unix.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	goOn()
	unpin()
	return r1, r2, e
}

// pin forbids the runtime to put this goroutine aside until unpin. In between nothing may wait for another goroutine.
//
//go:linkname pin runtime.procPin
func pin() int

//go:linkname unpin runtime.procUnpin
func unpin()

// goOn declines a request to give way. The request makes the next call of a function that uses the stack enter the runtime, which drops it if it finds the
// goroutine pinned. A request that is still wanted is made again.
//
//go:noinline
func goOn() { call() }

//go:noinline
func call() {}
