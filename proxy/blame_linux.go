package proxy

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// errDeaf says that the backend's host has vanished. The kernel of a backend that is merely slow acknowledges all the same.
var errDeaf = errors.New("backend acknowledges nothing")

// deafAfter is how long an acknowledgement of what was sent again may take beyond two round trips.
const deafAfter = 50 * time.Millisecond

// deaf reports whether the other side has acknowledged nothing of what was sent to it, neither at once nor when it was sent again:
// 0.4 s and more after the first time.
func (s *stream) deaf() bool {
	if s.raw == nil {
		return false
	}
	lost := false
	_ = s.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		waited, trip := time.Duration(info.Last_data_sent)*time.Millisecond, time.Duration(info.Rtt)*time.Microsecond
		// The SYN counts as one byte. Who has acknowledged nothing else may be there, with a full queue of connections to accept.
		lost = info.Unacked > 0 && info.Retransmits > 0 && info.Bytes_acked > 1 && waited >= deafAfter+2*trip
	})
	return lost
}

// unreached is what a backend is to blame for when a connection to it could not be opened: not for what this host lacks.
func unreached(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, errWentDown) {
		return nil
	}
	for _, ours := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			return nil
		}
	}
	return err
}

// wornOut reports whether an attempt on a connection that had been used before has failed because the backend had closed it while it idled,
// unseen by us. That is nobody's fault, and the same backend is asked again.
func wornOut(v verdict, err error) bool {
	return (v == unsent || v == unanswered) && !errors.Is(err, errDeaf) && !errors.Is(err, errTimeout) &&
		!errors.Is(err, errWentDown)
}

// triesOf is how many backends of a pool may be tried for one request or session.
func triesOf(p *pool.Pool) int { return min(p.MaxRetries()+1, maxTries) }

// mayRepeat reports whether a request may be sent again after it was sent in vain, without harm and within the pool's budget.
// Whoever repeats one is inside the budget until its end.
func (w *work) mayRepeat(v verdict, p *pool.Pool) bool {
	switch {
	case v == unsent || w.repeats != nil && w.again:
		return true
	case !w.again || !p.Repeat():
		return false
	}
	w.repeats = p
	return true
}

// settle gives the repetition back.
func (w *work) settle() {
	if w.repeats != nil {
		w.repeats.Repeated()
		w.repeats = nil
	}
}
