package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/test/lab"
)

// stepBy is how far the wall clock jumps: longer than any patience of the nodes, short enough not to hurt the rest of the machine.
const stepBy = 1500 * time.Millisecond

// errNoClock means that the wall clock must not be set.
var errNoClock = errors.New("the wall clock of this machine may not be set")

// stepClock sets the wall clock of the whole machine forward, and later back by the same. All that is measured here uses the monotonic clock.
func stepClock(_ context.Context, s *scene, _ *lab.Node, _ time.Duration) (func() error, error) {
	if !s.clock {
		return func() error { return nil }, nil
	}
	if err := jump(stepBy); err != nil {
		return nil, err
	}
	return func() error { return jump(-stepBy) }, nil
}

func jump(by time.Duration) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	then := unix.NsecToTimespec(now.Nano() + by.Nanoseconds())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &then); err != nil {
		return fmt.Errorf("set the wall clock: %w", err)
	}
	return nil
}

// mayStep reports whether the wall clock may be set here, by setting it to what it is.
func mayStep() error {
	if err := jump(0); err != nil {
		return errors.Join(errNoClock, err)
	}
	return nil
}
