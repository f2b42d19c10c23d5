package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Ready tells the service manager that the daemon runs. Without a service manager it does nothing; so do the others.
// None of the functions of this package ever waits: a manager that does not read loses messages.
func Ready(log hclog.Logger) { tell(log, daemon.SdNotifyReady) }

// Reloading tells the service manager that the daemon reads its configuration again; Ready ends that.
func Reloading(log hclog.Logger) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail
	tell(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Stopping tells the service manager that the daemon has begun to end.
func Stopping(log hclog.Logger) { tell(log, daemon.SdNotifyStopping) }

// Status sets the line that `systemctl status` shows.
func Status(log hclog.Logger, text string) { tell(log, "STATUS="+oneLine(text)) }

func tell(log hclog.Logger, message string) {
	s, err := dial(os.Getenv("NOTIFY_SOCKET"))
	if err == nil && s != nil {
		defer s.close()
		err = s.send(message)
	}
	if err != nil {
		log.Warn("service manager not told", "message", message, "err", err)
	}
}

// maxStatus bounds what is shown: the line is for people.
const maxStatus = 500

// oneLine keeps text from becoming further assignments of the protocol, which end at a line's end.
func oneLine(text string) string {
	if len(text) > maxStatus {
		text = text[:maxStatus]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// Feeder feeds the service manager's watchdog. It is used by one goroutine: the one that must be seen to live.
type Feeder struct {
	every time.Duration // between messages; zero: no watchdog
	sock  *socket
	last  time.Time
	log   hclog.Logger
	lost  bool // told that messages do not get through
}

// NewFeeder reads from the environment whether a watchdog watches this process, and how patient it is.
func NewFeeder(log hclog.Logger) *Feeder {
	f := &Feeder{log: log}
	patience, err := daemon.SdWatchdogEnabled(false)
	if err == nil && patience > 0 {
		f.sock, err = dial(os.Getenv("NOTIFY_SOCKET"))
	}
	if err != nil {
		log.Warn("watchdog not fed", "err", err)
	}
	if f.sock != nil {
		f.every = patience / 4
	}
	return f
}

// Every is how often Feed wants to be called at least; zero: there is no watchdog, and Feed does nothing.
func (f *Feeder) Every() time.Duration { return f.every }

// Feed says that the caller lives. It may be called at every turn of a busy loop: it sends only when a quarter of the
// watchdog's patience has passed since the last message, and never waits.
func (f *Feeder) Feed() {
	if f.every == 0 {
		return
	}
	now := time.Now()
	if !f.last.IsZero() && now.Sub(f.last) < f.every {
		return
	}
	err := f.send(daemon.SdNotifyWatchdog)
	if err == nil {
		f.last = now
	}
	if lost := err != nil; lost != f.lost {
		f.lost = lost
		if lost {
			f.log.Warn("watchdog not fed", "err", err)
		} else {
			f.log.Info("watchdog fed again")
		}
	}
}

// send sends over the kept socket, and over a new one where that leads nowhere any more: a service manager that
// was replaced would otherwise kill a daemon in good health.
func (f *Feeder) send(message string) error {
	err := f.sock.send(message)
	if err == nil || errors.Is(err, unix.EAGAIN) {
		return err
	}
	s, err := dial(os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	if s == nil {
		return errors.New("NOTIFY_SOCKET is no longer set")
	}
	f.sock.close()
	f.sock = s
	return s.send(message)
}

// socket is a connection to the service manager that never blocks.
type socket struct{ fd int }

// dial connects to the socket that NOTIFY_SOCKET names; nil if it names none.
func dial(name string) (*socket, error) {
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET %q: want an absolute path or an abstract name that begins with @", name)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket for the service manager: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the service manager at %s: %w", name, err), unix.Close(fd))
	}
	return &socket{fd}, nil
}

func (s *socket) send(message string) error {
	for {
		_, err := unix.Write(s.fd, []byte(message))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (s *socket) close() { _ = unix.Close(s.fd) }
