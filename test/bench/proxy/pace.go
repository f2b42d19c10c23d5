package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// paced is how many requests a second are sent, over pacedConns connections.
	paced, pacedConns = 1000, 32
	request           = "GET /1k HTTP/1.1\r\nHost: bench.test\r\n\r\n"
)

// pacer sends requests at a constant rate, whether answers come or not, from one thread that does nothing else.
type pacer struct {
	fds   []unix.PollFd
	since []time.Time // when the request of a connection was due; zero: free
	got   [][]byte
	took  []time.Duration
}

// pace returns the 99th percentile of the times from when a request was due until its answer was there, in microseconds.
func pace(ctx context.Context, p peer, burst time.Duration) (sample, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	onLoadCore()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	var q pacer
	defer q.close()
	for range pacedConns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return sample{}, err
		}
		q.fds = append(q.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		q.since, q.got = append(q.since, time.Time{}), append(q.got, make([]byte, 0, 4096))
		if err := errors.Join(unix.Connect(fd, &unix.SockaddrInet4{Port: p.http, Addr: [4]byte{127, 0, 0, 1}}),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true)); err != nil {
			return sample{}, err
		}
	}
	began := time.Now()
	if err := q.run(ctx, began, int(burst.Seconds()*paced)); err != nil {
		return sample{}, err
	}
	took := q.took[len(q.took)/10:] // connections to the backend are opened in the beginning
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	return sample{Cost: float64(p99) / 1e3, Rate: float64(len(q.took)) / time.Since(began).Seconds()}, nil
}

func (q *pacer) run(ctx context.Context, began time.Time, n int) error {
	for sent := 0; len(q.took) < n && ctx.Err() == nil; {
		due := began.Add(time.Duration(sent) * time.Second / paced)
		for now := time.Now(); sent < n && !now.Before(due); now = time.Now() {
			free := slices.Index(q.since, time.Time{})
			if free < 0 {
				break // it is late, and its time counts from when it was due
			}
			q.since[free] = due
			if _, err := unix.Write(int(q.fds[free].Fd), []byte(request)); err != nil {
				return err
			}
			sent++
			due = began.Add(time.Duration(sent) * time.Second / paced)
		}
		wait := unix.NsecToTimespec(max(0, int64(time.Until(due))))
		if sent == n {
			wait = unix.NsecToTimespec(int64(time.Second))
		}
		if ready, err := unix.Ppoll(q.fds, &wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		} else if ready == 0 && sent == n {
			return errors.New("answers are missing")
		}
		for i := range q.fds {
			if err := q.read(i); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (q *pacer) read(i int) error {
	if q.fds[i].Revents == 0 {
		return nil
	}
	q.fds[i].Revents = 0
	b := q.got[i]
	n, err := unix.Read(int(q.fds[i].Fd), b[len(b):cap(b)])
	if err != nil || n <= 0 {
		return fmt.Errorf("an answer broke off: %d bytes, %w", n, err)
	}
	b = b[:len(b)+n]
	if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 && len(b) >= end+4+1024 {
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("an answer began with %q", b[:20])
		}
		q.took = append(q.took, time.Since(q.since[i]))
		q.since[i], b = time.Time{}, b[:0]
	}
	q.got[i] = b
	return nil
}

func (q *pacer) close() {
	for _, f := range q.fds {
		_ = unix.Close(int(f.Fd))
	}
}
