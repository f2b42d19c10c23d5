package daemon

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
)

func TestTakenPortIsToldWithWhatToDo(t *testing.T) {
	taken := fmt.Errorf("listen for beats on 10.0.0.11:7947 (udp): %w", syscall.EADDRINUSE)
	knows := fmt.Errorf("%w: another process has it; stop that", syscall.EADDRINUSE)
	other := errors.New("no such device")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{taken, taken.Error() + ": another process has the port: stop it or change cluster.bind (see: ss -lntup 'sport = :7947')"},
		{knows, knows.Error() + " (see: ss -lntup 'sport = :7947')"},
		{other, other.Error()},
	} {
		got := onPort(7947, func(context.Context) error { return tt.err })(t.Context())
		if !errors.Is(got, tt.err) || got.Error() != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if err := onPort(7947, func(context.Context) error { return nil })(t.Context()); err != nil {
		t.Errorf("a part that ended well: %v", err)
	}
}

func TestEndOfAPartNamesItOnce(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "vip: ended without being asked to"},
		{errors.New("no such device"), "vip: no such device"},
		{errors.New("vip: no such device"), "vip: no such device"},
	} {
		if got := endedEarly("vip", tt.err).Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
