package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Flood is load without measure: so many clients in the host ask target as fast as they are answered, whatever the answer is. They run at nice -20, so that
// busy loops do not calm them. Heal ends it.
func (h *Host) Flood(target netip.AddrPort, clients int) (f *Fault, answers *atomic.Int64) {
	var (
		quit atomic.Bool
		wg   sync.WaitGroup
	)
	answers = &atomic.Int64{}
	for range clients {
		wg.Go(func() {
			_ = h.Do(func() error {
				_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20) // without the right to it there is less load
				for !quit.Load() {
					if err := ask(target, &quit, answers); err != nil {
						time.Sleep(time.Millisecond)
					}
				}
				return nil
			})
		})
	}
	end := func() {
		quit.Store(true)
		wg.Wait()
	}
	h.lab.atEnd(end)
	return &Fault{
		What: fmt.Sprintf("%d clients that ask %s as fast as they can", clients, target),
		heal: func() error { end(); return nil },
	}, answers
}

// ask opens a connection and asks over it until it ends.
func ask(target netip.AddrPort, quit *atomic.Bool, answers *atomic.Int64) error {
	sa, domain := sockaddr(target)
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(Patience.Nanoseconds())
	if err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience), // of connect, too
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
	); err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil {
		return err
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + target.String() + "\r\n\r\n")
	var buf [4096]byte
	for !quit.Load() {
		if _, err := unix.Write(fd, request); err != nil {
			return err
		}
		n, err := unix.Read(fd, buf[:]) // small answers come in one piece
		if err != nil || n == 0 {
			return err
		}
		answers.Add(1)
	}
	return nil
}
