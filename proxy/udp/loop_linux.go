package udp

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// What an event is about, when it is not a flow.
const (
	ofSocket = -1
	ofWake   = -2
)

const (
	// rounds bounds the batches of one socket before the others have their turn.
	rounds = 4
	// maxEvents is how many sockets one look at all of them finds ready.
	maxEvents = 128
)

// loop is a running relay: one goroutine that has all flows and their sockets. It never waits for a send. The sockets are looked at
// by an epoll of its own, on which the goroutine waits as on any other descriptor.
type loop struct {
	relay  *Relay
	socket *Socket
	wake   int
	epoll  *os.File
	raw    syscall.RawConn
	epfd   int

	table   *table
	in, out *batch // datagrams of clients; answers
	touched []*flow

	events [maxEvents]unix.EpollEvent
	ready  int
	tryGet func(uintptr) bool
	now    time.Time
	since  time.Time // of the last tick
	ending bool      // clients are no longer listened to

	refusals, evictions, shortages sampled
}

func (r *Relay) newLoop(s *Socket) (l *loop, err error) {
	l = &loop{relay: r, socket: s, wake: -1, epfd: -1, table: newTable(), in: newBatch(), out: newBatch()}
	defer func() {
		if err != nil {
			l.closeOwn()
		}
	}()
	if l.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if err := unix.SetNonblock(l.epfd, true); err != nil { // so that package os waits for it by its poller
		return nil, err
	}
	for _, w := range []struct {
		fd int
		of int32
	}{{s.fd, ofSocket}, {l.wake, ofWake}} {
		if err := l.watch(w.fd, name{slot: w.of}); err != nil {
			return nil, err
		}
	}
	l.epoll = os.NewFile(uintptr(l.epfd), "epoll")
	if l.raw, err = l.epoll.SyscallConn(); err != nil {
		return nil, err
	}
	if err := l.epoll.SetReadDeadline(time.Time{}); err != nil { // fails where it cannot be waited for
		return nil, err
	}
	l.tryGet = l.get
	r.mu.Lock()
	r.wake = l.wake
	r.mail, r.all = nil, false // letters of a former run name its flows
	r.mu.Unlock()
	return l, nil
}

// close ends all flows and closes all sockets.
func (l *loop) close() {
	for f := l.table.oldest(); f != nil; f = l.table.oldest() {
		l.end(f, "listener closed")
	}
	l.relay.mu.Lock()
	l.relay.wake = -1
	l.relay.mu.Unlock()
	l.closeOwn()
	_ = l.socket.Close()
}

func (l *loop) closeOwn() {
	if l.wake >= 0 {
		_ = unix.Close(l.wake)
	}
	switch {
	case l.epoll != nil:
		_ = l.epoll.Close()
	case l.epfd >= 0:
		_ = unix.Close(l.epfd)
	}
}

func (l *loop) watch(fd int, n name) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: n.slot, Pad: n.gen}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev))
}

// get looks which sockets are ready, without waiting.
func (l *loop) get(uintptr) bool {
	for {
		n, err := unix.EpollWait(l.epfd, l.events[:], 0)
		if err != unix.EINTR { //nolint:errorlint // a system call
			l.ready = max(n, 0)
			return n != 0
		}
	}
}

func (l *loop) run(ctx context.Context) error {
	l.now = time.Now()
	l.since = l.now
	if err := l.epoll.SetReadDeadline(l.now.Add(tick)); err != nil {
		return err
	}
	var until time.Time // the end, once it is asked for
	for {
		if ctx.Err() != nil && !l.ending {
			l.ending = true
			until = time.Now().Add(lastAnswers)
			_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, l.socket.fd, nil)
			if err := l.epoll.SetReadDeadline(until); err != nil {
				return err
			}
		}
		if l.ending && (!time.Now().Before(until) || !l.table.owed(until.Add(-2*lastAnswers))) {
			return nil
		}
		err := l.raw.Read(l.tryGet)
		l.now = time.Now()
		switch {
		case isTimeout(err):
			if err := l.tick(); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if err := l.serve(); err != nil {
				return err
			}
		}
	}
}

// tick ends flows that are idle.
func (l *loop) tick() error {
	for f := l.table.idle(l.now, l.relay.conf().Idle); f != nil; f = l.table.idle(l.now, l.relay.conf().Idle) {
		l.end(f, "idle")
	}
	if l.ending {
		return nil
	}
	return l.epoll.SetReadDeadline(l.now.Add(tick))
}

// serve does what the events ask for.
func (l *loop) serve() error {
	for _, ev := range l.events[:l.ready] {
		switch ev.Fd {
		case ofSocket:
			if err := l.fromClients(); err != nil {
				return err
			}
		case ofWake:
			l.letters()
		default:
			if f := l.table.at(ev.Fd, ev.Pad); f != nil {
				l.fromBackend(f)
			}
		}
	}
	l.flush()
	return nil
}

// letters does what others have asked for.
func (l *loop) letters() {
	var b [8]byte
	_, _ = unix.Read(l.wake, b[:])
	mail, all := l.relay.letters()
	for _, n := range mail {
		if f := l.table.at(n.slot, n.gen); f != nil {
			l.end(f, "backend went down")
		}
	}
	for f := l.table.oldest(); all && f != nil; f = l.table.oldest() {
		l.end(f, "reset")
	}
}

// end ends a flow.
func (l *loop) end(f *flow, reason string) {
	l.leave(f, nil)
	l.table.remove(f)
	l.relay.stats.flows.Add(-1)
	if l.relay.conf().Left != nil {
		l.relay.conf().Left(f.key.client.Addr())
	}
	if l.relay.log.IsDebug() {
		l.relay.log.Debug("flow ended", "addr", f.key.client, "reason", reason, "sent", f.sent, "received", f.answers,
			"took", l.now.Sub(f.began))
	}
}

// leave closes the way to a flow's backend; the flow goes on, and looks for another one. err is what the backend is to blame for.
func (l *loop) leave(f *flow, err error) {
	if f.fd < 0 {
		return
	}
	_ = unix.Close(f.fd) // which takes it out of the epoll, too
	f.fd = -1
	f.lease.Backend().Detach(f.session)
	f.lease.Done(err)
	f.lease, f.session = pool.Lease{}, nil
}
