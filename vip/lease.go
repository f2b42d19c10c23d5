package vip

import (
	"errors"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// lease is the right to answer for the addresses. Its mutex is held for one change of the gate at most, never for anything slower: the thread that beats
// waits for it.
type lease struct {
	clock  func() time.Duration
	budget time.Duration // Config.Failover
	votes  bool          // Config.Votes

	mu     sync.Mutex // guards the rest
	gate   Gate       // nil: this host has none; then the clock alone decides
	mode   fence.Mode
	proven time.Duration // when the lease was begun or last prolonged, by the clock, taken before the kernel was asked
	lost   bool          // it ended by itself; until settle
	gone   bool          // the gate's tables have been removed by somebody
	late   time.Duration // how long it had not been served when it was lost
	ballot ballot        // with votes
	err    error         // of the last attempt to prolong that neither succeeded nor said that it is lost
}

// slack is what the clock may say more than the budget while the kernel says that the lease ran on: the kernel's timers do not run while the host is suspended.
const slack = 20 * time.Millisecond

// renewals is how often the kernel is asked to prolong a lease before it would end. There are 14 beats in that time; every other one is enough, and a lease that
// is a beat older only ends earlier after the last beat, never later.
const renewals = 10

// errLate means that a claim took longer than the lease that it asked for.
var errLate = errors.New("the claim came too late after its decision")

// errNoQuiet: without a gate, nothing could keep the kernel from answering ARP.
var errNoQuiet = errors.New("this host has no gate to be quiet behind")

// install puts the gate in place, shut. After an error there is none.
func (l *lease) install() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate == nil {
		return nil
	}
	err := l.gate.Install(fence.Shut)
	if err != nil {
		_ = l.gate.Close() // nothing of it is in the kernel
		l.gate = nil
	}
	return err
}

// lateness is how long the lease had not been served when it was lost.
func (l *lease) lateness() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}

// renew prolongs the lease. held says whether there was one, kept whether there still is.
func (l *lease) renew() (held, kept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode == fence.Shut {
		return false, !l.lost
	}
	now := l.clock()
	if now-l.proven > l.budget+slack || (l.gate == nil || l.gone) && now-l.proven > l.budget {
		l.lose(now)
		return true, false
	}
	if l.gate == nil {
		l.proven = now
		return true, true
	}
	if !l.gone && now-l.proven < l.budget/renewals || l.votes && l.mode == fence.Open { // see vote
		return true, true
	}
	switch err := l.gate.Turn(l.mode, l.mode); {
	case err == nil:
		l.proven, l.gone, l.err = now, false, nil
	case errors.Is(err, fence.ErrLapsed):
		l.lose(now)
		return true, false
	case errors.Is(err, fence.ErrGone):
		l.gone = true
	default:
		l.err = err
	}
	return true, true
}

// lose ends the lease. l.mu is held.
func (l *lease) lose(now time.Duration) {
	l.late, l.lost, l.mode = now-l.proven, true, fence.Shut
	if l.gate != nil {
		l.err = l.gate.Shut() // what is left of it
		l.ballot.unsure = l.err != nil && !errors.Is(l.err, fence.ErrGone)
	}
}

// expired ends a lease that nobody has prolonged in time, whoever was to do it.
func (l *lease) expired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode == fence.Shut {
		return l.lost
	}
	if now := l.clock(); now-l.proven > l.budget {
		l.lose(now)
	}
	return l.lost
}

// fresh says whether the lease has been prolonged within its budget.
func (l *lease) fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode != fence.Shut && l.clock()-l.proven < l.budget
}

// settle forgets a loss, after the addresses are off the link.
func (l *lease) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = false
}

// shut ends the lease on purpose.
func (l *lease) shut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode = fence.Shut
	if l.gate == nil {
		return nil
	}
	err := l.gate.Shut()
	if errors.Is(err, fence.ErrGone) {
		l.gone = true
		return nil
	}
	l.ballot.unsure = err != nil
	return err
}

// arm begins a claim that was decided at that time.
func (l *lease) arm(ticket uint32, decided time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate != nil {
		err := l.gate.Arm(ticket | claimTickets)
		if errors.Is(err, fence.ErrGone) {
			if err = l.gate.Install(fence.Shut); err == nil {
				err = l.gate.Arm(ticket | claimTickets)
			}
		}
		if err != nil {
			return err
		}
	}
	// The ticket runs from now on. If the time up to here was short enough, nothing that comes later can be too long.
	if l.clock()-decided > l.budget {
		return errLate
	}
	return nil
}

// open ends a claim.
func (l *lease) open(ticket uint32, decided time.Duration, m fence.Mode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	if l.votes && m == fence.Open {
		return l.elect(now)
	}
	if l.gate == nil {
		if now-decided > l.budget {
			return errLate
		}
	} else if err := l.gate.Open(ticket|claimTickets, m); errors.Is(err, fence.ErrLapsed) {
		return errLate
	} else if err != nil {
		return err
	}
	l.mode, l.proven, l.lost, l.err = m, now, false, nil
	return nil
}

// turn changes what passes. It prolongs the lease, too.
func (l *lease) turn(to fence.Mode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate == nil {
		return errNoQuiet
	}
	if l.mode == fence.Shut {
		return nil
	}
	now := l.clock()
	if l.votes {
		return l.turnByVotes(now, to)
	}
	err := l.gate.Turn(l.mode, to)
	switch {
	case err == nil:
		l.mode, l.proven = to, now
	case errors.Is(err, fence.ErrLapsed):
		l.lose(now)
	case errors.Is(err, fence.ErrGone):
		l.gone = true
	}
	return err
}

// restore puts the gate back after somebody has removed it. Without its tables nothing silences this node but the addresses' lifetime, so this is in haste.
// A lease that still runs goes on; whether it does is asked again afterwards.
func (l *lease) restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	if l.mode != fence.Shut && now-l.proven > l.budget {
		l.lose(now)
	}
	if l.votes {
		l.mode = fence.Shut // and opened again by the next votes
	}
	if err := l.gate.Install(l.mode); err != nil {
		return err
	}
	l.gone = false
	if l.mode == fence.Shut {
		return nil
	}
	if later := l.clock(); later-l.proven > l.budget {
		l.lose(later)
	} else {
		l.proven = later
	}
	return nil
}

// check notices, while nothing renews the gate, that its tables are missing.
func (l *lease) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate != nil && l.mode == fence.Shut && errors.Is(l.gate.Check(), fence.ErrGone) {
		l.gone = true
	}
}

// view is what the run loop looks at.
func (l *lease) view() (mode fence.Mode, proven time.Duration, lost bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode, l.proven, l.lost, l.err
}
