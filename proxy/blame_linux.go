package proxy

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/limit"
	"github.com/tandem-lb/tandem/proxy/mux"
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
	for _, ours := range []error{context.Canceled, errWentDown, errFiles, limit.ErrBudget, mux.ErrFull, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			return nil
		}
	}
	return err
}

// wornOut reports whether an attempt on a connection that had been used before has failed because the backend had closed it while it idled,
// unseen by us. That is nobody's fault, and the same backend is asked again.
func wornOut(v verdict, err error) bool {
	for _, e := range []error{errDeaf, errTimeout, errWentDown, mux.ErrSilent} {
		if errors.Is(err, e) {
			return false
		}
	}
	_, reset := errors.AsType[*mux.ResetError](err)
	return (v == unsent || v == unanswered) && !reset
}

// blame is what a backend is to blame for when a request went wrong with err. That it wants no more of a request, as when gRPC's deadline has
// passed, is the application's word, as a status is.
func blame(err error) error {
	if r, ok := errors.AsType[*mux.ResetError](err); ok && (r.Code == http2.ErrCodeCancel || r.Code == http2.ErrCodeNo) {
		return nil
	}
	return err
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
