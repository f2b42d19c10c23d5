package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long an attempt waits for its complete answer.
const Patience = 900 * time.Millisecond

// Outcome is what became of an attempt.
type Outcome uint8

// The outcomes. Everything but OK is a failure.
const (
	OK          Outcome = iota // a complete and correct answer
	Refused                    // RST to our SYN
	Reset                      // RST to an open connection
	Timeout                    // no complete answer within Patience
	Wrong                      // an answer, but not the right one, or the end of the stream in the middle of it
	Unreachable                // the client's own kernel knew no way
)

func (o Outcome) String() string {
	return [...]string{"ok", "refused", "reset", "timeout", "wrong", "unreachable"}[o]
}

// Attempt is one request on a fresh connection.
type Attempt struct {
	Start, End time.Time
	Outcome    Outcome
	By         string // name of the backend that answered; only if OK
}

// Client sends requests at a fixed rate, each on a fresh connection, whatever becomes of the ones before (an open loop). One thread serves
// them all, so that what it measures is the pair and not itself.
type Client struct {
	target netip.AddrPort
	every  time.Duration
	stop   int // eventfd that ends the loop
	done   chan struct{}

	mu       sync.Mutex // guards what follows
	attempts []Attempt
	late     []lateness
}

// lateness is one tick that came late: the client's own pauses must not be mistaken for the pair's.
type lateness struct {
	at time.Time
	by time.Duration
}

// Client starts a client in the host that asks target every so often. It runs until Stop or the lab's end.
func (h *Host) Client(target netip.AddrPort, every time.Duration) (*Client, error) {
	if every < 100*time.Microsecond {
		return nil, fmt.Errorf("a request every %v: at least 100µs is allowed", every)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	c := &Client{target: target, every: every, stop: stop, done: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		defer close(c.done)
		err := h.Do(func() error { return c.run(ready) })
		if err != nil {
			select {
			case ready <- err:
			default:
			}
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("start the client in %s: %w", h.name, err)
	}
	h.lab.atEnd(c.Stop)
	return c, nil
}

// Stop ends the client; attempts that have no answer yet are not counted. A second call does nothing.
func (c *Client) Stop() {
	c.mu.Lock()
	stop := c.stop
	c.stop = -1
	c.mu.Unlock()
	if stop >= 0 {
		_, _ = unix.Write(stop, binary.NativeEndian.AppendUint64(nil, 1))
		<-c.done
		_ = unix.Close(stop)
	}
	<-c.done
}

// Attempts returns the finished attempts that started in [from, to), in the order of their starts.
func (c *Client) Attempts(from, to time.Time) []Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Attempt
	for _, a := range c.attempts {
		if !a.Start.Before(from) && a.Start.Before(to) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Attempt) int { return a.Start.Compare(b.Start) })
	return out
}

// Conclude is Report after the attempts that started before to have their outcomes, for which it waits: Patience after to at most.
func (c *Client) Conclude(from, to time.Time) Report {
	time.Sleep(time.Until(to.Add(Patience + 5*c.every)))
	return c.Report(from, to)
}

// Report sums up the attempts that started in [from, to) and have ended. It does not wait for those under way: see Conclude.
func (c *Client) Report(from, to time.Time) Report {
	r := Sum(c.Attempts(from, to))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.late {
		if !l.at.Before(from) && l.at.Before(to) {
			r.Late = max(r.Late, l.by)
		}
	}
	return r
}

// Forget drops the attempts that started before t.
func (c *Client) Forget(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = slices.DeleteFunc(c.attempts, func(a Attempt) bool { return a.Start.Before(t) })
	c.late = slices.DeleteFunc(c.late, func(l lateness) bool { return l.at.Before(t) })
}

// flight is an attempt under way.
type flight struct {
	fd    int
	start time.Time
	sent  bool
	done  bool // judged; the socket only waits for the other side to close
	got   []byte
}

// loop is the state of run, on one thread.
type loop struct {
	*Client
	ep, timer int
	next      time.Time
	flights   map[int32]*flight
	queue     []*flight // by start: the first times out first
	request   []byte
	sockaddr  unix.Sockaddr
	domain    int
}

// run is the client's thread. It says on ready that it has begun.
func (c *Client) run(ready chan<- error) error {
	Hurry()
	l := &loop{Client: c, flights: map[int32]*flight{}}
	stop := c.stop
	l.request = []byte("GET / HTTP/1.1\r\nHost: " + c.target.String() + "\r\nConnection: close\r\n\r\n")
	l.sockaddr, l.domain = sockaddr(c.target)
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(l.ep)
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return err
	}
	defer unix.Close(l.timer)
	tick := unix.NsecToTimespec(c.every.Nanoseconds())
	l.next = time.Now().Add(c.every)
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: tick, Value: tick}, nil); err != nil {
		return err
	}
	for _, fd := range []int{l.timer, stop} {
		if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	defer l.closeAll()
	ready <- nil
	return l.turn(stop)
}

// turn serves events until stop is readable.
func (l *loop) turn(stop int) error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(l.ep, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		ticked := false
		for _, e := range events[:n] {
			switch int(e.Fd) {
			case stop:
				return nil
			case l.timer:
				ticked = true
			default:
				if f := l.flights[e.Fd]; f != nil {
					l.serve(f)
				}
			}
		}
		if ticked { // after the answers: they came before
			l.tick()
		}
	}
}

// tick starts the attempts that are due, all of them when it comes late, and gives up those that are overdue.
func (l *loop) tick() {
	var b [8]byte
	if n, _ := unix.Read(l.timer, b[:]); n != len(b) {
		return
	}
	now := time.Now()
	if late := now.Sub(l.next); late > l.every {
		l.mu.Lock()
		l.late = append(l.late, lateness{at: now, by: late})
		l.mu.Unlock()
	}
	for range binary.NativeEndian.Uint64(b[:]) {
		l.next = l.next.Add(l.every)
		l.start()
	}
	for len(l.queue) > 0 && (l.queue[0].fd < 0 || now.Sub(l.queue[0].start) > Patience) {
		f := l.queue[0]
		l.queue = l.queue[1:]
		if f.fd >= 0 {
			l.judge(f, Timeout)
			l.close(f)
		}
	}
}

func (l *loop) start() {
	f := &flight{fd: -1, start: time.Now()}
	fd, err := unix.Socket(l.domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.judge(f, Unreachable)
		return
	}
	f.fd = fd
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	err = unix.Connect(fd, l.sockaddr)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		l.judge(f, outcome(err, false))
		l.close(f)
		return
	}
	l.flights[int32(fd)] = f
	l.queue = append(l.queue, f)
	ev := &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, ev); err != nil {
		l.judge(f, Unreachable)
		l.close(f)
	}
}

// serve goes on with an attempt whose socket has something to say.
func (l *loop) serve(f *flight) {
	if !f.sent {
		n, err := unix.Write(f.fd, l.request)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOTCONN) {
			return
		}
		if err != nil || n != len(l.request) {
			l.judge(f, outcome(err, false))
			l.close(f)
			return
		}
		f.sent = true
	}
	for {
		var b [4096]byte
		n, err := unix.Read(f.fd, b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			l.judge(f, outcome(err, true))
			l.close(f)
			return
		case n == 0:
			l.judge(f, Wrong)
			l.close(f)
			return
		}
		f.got = append(f.got, b[:n]...)
		if complete(f.got) {
			l.judge(f, OK)
		}
	}
}

// judge records what became of an attempt, once.
func (l *loop) judge(f *flight, o Outcome) {
	if f.done {
		return
	}
	f.done = true
	a := Attempt{Start: f.start, End: time.Now(), Outcome: o}
	if o == OK {
		if a.By = answeredBy(f.got); a.By == "" {
			a.Outcome = Wrong
		}
	}
	f.got = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, a)
}

func (l *loop) close(f *flight) {
	if f.fd >= 0 {
		delete(l.flights, int32(f.fd))
		_ = unix.Close(f.fd)
		f.fd = -1
	}
}

func (l *loop) closeAll() {
	for _, f := range l.flights {
		l.close(f)
	}
}

func outcome(err error, open bool) Outcome {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return Reset
	case errors.Is(err, unix.ETIMEDOUT):
		return Timeout
	case open:
		return Wrong
	}
	return Unreachable
}

// complete says whether an answer is all there, or so wrong that nothing can mend it.
func complete(got []byte) bool {
	head, body, ok := bytes.Cut(got, []byte("\r\n\r\n"))
	if !ok {
		return len(got) > 16<<10
	}
	n, ok := contentLength(head)
	return !ok || len(body) >= n
}

// answeredBy returns the backend's name from a correct answer, and nothing from any other.
func answeredBy(got []byte) string {
	head, body, _ := bytes.Cut(got, []byte("\r\n\r\n"))
	n, ok := contentLength(head)
	if !ok || n != len(body) || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return ""
	}
	line, _, _ := strings.Cut(string(body), "\n")
	name, ok := strings.CutPrefix(line, "backend ")
	if !ok || string(body) != Answer(name) {
		return ""
	}
	return name
}

func contentLength(head []byte) (int, bool) {
	for line := range strings.SplitSeq(string(head), "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(key, "Content-Length") {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			return n, err == nil && n >= 0 && n <= 16<<10
		}
	}
	return 0, false
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}, unix.AF_INET6
}

// Hurry asks the kernel to run the calling thread before all normal ones, so that an observer's own waiting is not taken for a blackout.
// Without the right to ask (in a user namespace, for example) nothing changes.
func Hurry() {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
}
