package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Crowd is a number of connections that are open and do nothing.
type Crowd struct {
	once sync.Once
	fds  []int
}

// Crowd opens n connections from the host to target, gets one answer over each, and holds them open until Close or the lab's end.
func (h *Host) Crowd(target netip.AddrPort, n int) (*Crowd, error) {
	const threads = 4
	var (
		c    = &Crowd{}
		wg   sync.WaitGroup
		mu   sync.Mutex // guards c.fds and errs
		errs []error
	)
	for i := range threads {
		wg.Go(func() {
			err := h.Do(func() error {
				for range (n + i) / threads {
					fd, err := hold(target)
					if err != nil {
						return err
					}
					mu.Lock()
					c.fds = append(c.fds, fd)
					mu.Unlock()
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	h.lab.atEnd(c.Close)
	if err := errors.Join(errs...); err != nil {
		c.Close()
		return nil, fmt.Errorf("hold %d connections to %s: %w", n, target, err)
	}
	return c, nil
}

// Len is the number of connections that were opened.
func (c *Crowd) Len() int { return len(c.fds) }

// Close closes them. A second call does nothing.
func (c *Crowd) Close() {
	c.once.Do(func() {
		for _, fd := range c.fds {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // no TIME_WAIT: the ports are needed again
			_ = unix.Close(fd)
		}
	})
}

// hold opens one connection, at the third attempt at the latest: thousands at once keep a small machine busy.
func hold(target netip.AddrPort) (fd int, err error) {
	for range 3 {
		if fd, err = open(target); err == nil {
			return fd, nil
		}
	}
	return -1, err
}

// open opens one connection and asks over it, so that it is open as far as the backend.
func open(target netip.AddrPort) (int, error) {
	sa, domain := sockaddr(target)
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := converse(fd, sa, target, time.Now().Add(3*Patience)); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func converse(fd int, sa unix.Sockaddr, target netip.AddrPort, deadline time.Time) error {
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	if err := await(fd, unix.POLLOUT, deadline); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: "+target.String()+"\r\n\r\n")); err != nil {
		return err
	}
	var got []byte
	for !complete(got) {
		if err := await(fd, unix.POLLIN, deadline); err != nil {
			return err
		}
		var b [4096]byte
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return errors.New("closed before the answer")
		default:
			got = append(got, b[:n]...)
		}
	}
	if answeredBy(got) == "" {
		return fmt.Errorf("wrong answer %.60q", got)
	}
	return nil
}

// await waits until the socket is ready. It goes on when a signal of the runtime interrupts it.
func await(fd int, events int16, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		ts := unix.NsecToTimespec(left.Nanoseconds())
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: events}}, &ts, nil)
		switch {
		case errors.Is(err, unix.EINTR), err == nil && n == 0:
		default:
			return err
		}
	}
}

// Broken counts the connections that the other side has ended or reset.
func (c *Crowd) Broken() (n int) {
	for _, fd := range c.fds {
		ts := unix.Timespec{}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if ready, err := unix.Ppoll(p, &ts, nil); err != nil || ready > 0 {
			n++
		}
	}
	return n
}
